"""Secrecy: what must not be read by others, taken out of texts."""

from __future__ import annotations

import os
import re
from typing import TypeVar

Error = TypeVar("Error", bound=BaseException)

HIDDEN = "***"
# environment variables whose values are secrets, of the services that models come from
_VARIABLES = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_SECRET",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
)
_SHORTEST = 16  # letters; shorter values might be words of a text
_WORDS = "signature|secret|token|passw|credential|auth|policy|session|apikey"
_SECRET_NAME = re.compile(rf"{_WORDS}|^(sig|pwd)$|(^|[_-])key([_-]|$)", re.IGNORECASE)
# of lengths that are bounded: texts of strangers come here, and are not to take long
_QUERY = re.compile(r"([?&;])([\w.%-]{1,80})=[^\s&#;'\"<>`\\)\]}*]+")
# what a text must hold for there to be one of a kind, and what the kind looks like;
# what is kept of it stands before the secret, in a group
_KINDS = tuple(
    (sign, re.compile(pattern))
    for sign, pattern in (
        # what goes with requests, or stands in addresses
        ("Bearer ", r"(\bBearer )[\w.~+/=-]{8,}"),
        ("uthorization", r"(\b[Aa]uthorization[\"']?\s*[:=]\s*[\"']?(?:\w+ )?)[^\s\"'*]{8,}"),
        ("://", r"(\b[A-Za-z][A-Za-z0-9+.-]{1,20}://)[^\s/\\'\"<>?#@]+(?=@)"),
        # tokens that say by their first letters whose they are
        ("hf_", r"(hf_)(?:[A-Za-z0-9]{20,}|(?:oauth|jwt)_[\w.-]{20,})"),
        ("api_org_", r"(?<![A-Za-z0-9])(api_org_)[A-Za-z0-9]{16,}"),
        ("gh", r"(?<![A-Za-z0-9])(gh[pousr]_|github_pat_)\w{20,}"),
        ("AKIA", r"(?<![A-Za-z0-9])(AKIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        ("ASIA", r"(?<![A-Za-z0-9])(ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        ("eyJ", r"(?<![\w.-])(eyJ)[\w-]{10,}\.[\w-]{10,}\.[\w-]*"),
        # what has a name, as in files of settings
        ("aws_", r"(\baws_(?:secret_access_key|session_token)[\"']?\s*[:=]\s*[\"']?)[\w/+=]{16,}"),
        ("PRIVATE KEY-----", r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(?:(?!-----)[\s\S])+"),
    )
)


def without_secrets(text: str) -> str:
    """The text with `***` in place of tokens, passwords and signatures."""
    for value in _values():
        text = text.replace(value, HIDDEN)
    if "=" in text:
        text = _QUERY.sub(_hidden, text)
    for sign, kind in _KINDS:
        if sign in text:
            text = kind.sub(rf"\g<1>{HIDDEN}", text)
    return text


def _hidden(found: re.Match[str]) -> str:
    """A part of an address, its value hidden if its name is that of a secret."""
    return f"{found[1]}{found[2]}={HIDDEN}" if _SECRET_NAME.search(found[2]) else found[0]


def discreet(error: Error) -> Error:
    """An error of somebody else's, its text and those of the errors behind it without secrets."""
    behind: BaseException | None = error
    known = set()
    while behind is not None and id(behind) not in known:
        known.add(id(behind))
        given = behind.args
        behind.args = tuple(without_secrets(a) if isinstance(a, str) else a for a in given)
        behind = behind.__cause__ or behind.__context__
    return error


def _values() -> list[str]:
    """The secrets that the environment holds, the longest first."""
    found = {os.environ.get(name, "").strip() for name in _VARIABLES}
    return sorted((each for each in found if len(each) >= _SHORTEST), key=len, reverse=True)
