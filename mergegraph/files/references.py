"""References: how recipes name models."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mergegraph.errors import MergeGraphError

_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9]+):(?P<rest>.*)", re.DOTALL)
_BARE_ID = re.compile(r"[A-Za-z]\w*(?:-[\w.]+)+")
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(?:@[\w./-]+)?")


@dataclass(frozen=True)
class Reference:
    """A model, and the adapter that is to be folded into it; each may end in `@revision`."""

    model: str
    adapter: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Take `model+adapter` apart; what is on disk by that name is what it names."""
        if exists(text):
            return cls(text)
        for at in (i for i, letter in enumerate(text) if letter == "+"):
            model, adapter = text[:at], text[at + 1 :]
            is_pair = "+" not in adapter or exists(adapter)
            if model and adapter and is_pair and ("+" not in model or exists(model)):
                return cls(model, adapter)
        if "+" in text.strip("+"):
            raise MergeGraphError(
                f"{text}: names more than one adapter; fold one in a stage of its own first"
            )
        return cls(text)


def scheme_of(text: str) -> tuple[str, str] | None:
    """The scheme of a reference such as `s3://bucket/name`, and what follows its colon."""
    found = _SCHEME.fullmatch(text)
    return (found["scheme"], found["rest"]) if found else None


def is_hub_id(text: str) -> bool:
    """Whether a reference has the form `org/name` or `org/name@revision`."""
    return _HUB_ID.fullmatch(text) is not None


def is_bare_id(text: str) -> bool:
    """Whether a reference has the form of an old name of the Hub, as `bert-base-uncased`."""
    return _BARE_ID.fullmatch(text) is not None


def exists(text: str) -> bool:
    """Whether a reference names something on disk."""
    try:
        return at_home(text).exists()
    except (OSError, ValueError, MergeGraphError):
        return False


def at_home(text: str) -> Path:
    """The path that a reference is, `~` put out in full."""
    if not text.startswith("~"):
        return Path(text)
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise MergeGraphError(f"{text}: {error}") from error
