"""Publishing: a result as others may see it, and its way to the Hub."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError, RunError
from mergegraph.files.jsonfiles import read_json
from mergegraph.files.references import is_hub_id
from mergegraph.files.sidefiles import stays_inside
from mergegraph.provenance.card import card_facts, card_text
from mergegraph.provenance.digesting import digest_file
from mergegraph.provenance.discretion import is_local_path, last_part, without_home
from mergegraph.provenance.frontmatter import CARD, front_matter, parse_card, words
from mergegraph.provenance.licences import inherited
from mergegraph.provenance.manifest import MANIFEST, Manifest, read_manifest
from mergegraph.secrecy import discreet, without_secrets
from mergegraph.writing.shards import is_shard

_LARGEST = 2**26  # bytes of a text that is looked through
_MADE_OF = ("base_model", "base_model_relation", "tags")  # of a card, never left to the writer


@dataclass(frozen=True)
class Parcel:
    """What is sent: files as they are on disk, and texts that stand in for others."""

    folder: Path
    repo: str
    files: tuple[str, ...]
    texts: Mapping[str, str]
    warnings: tuple[str, ...]


def parcel(folder: Path, repo: str) -> Parcel:
    """A result made ready for others: its card right, nothing private in its texts.

    Raises MergeGraphError if it is no result, files of it are links to somewhere else, or `repo`
    is no name on the Hub.
    """
    _check_name(repo)
    manifest = read_manifest(folder)
    if manifest is None:
        raise MergeGraphError(f"{folder}: holds no {MANIFEST}; only results can be pushed")
    told = manifest.for_others()
    files = tuple(name for name in (*manifest.files, *_sides(folder, manifest)) if name != CARD)
    _check_links(folder, (*files, CARD, MANIFEST))
    texts = {name: text for name in files if (text := _retold(folder, name)) is not None}
    texts[CARD] = _card(folder, manifest, told, repo, {*files, CARD})
    digests = {name: _digest(folder, name, texts) for name in (*files, CARD)}
    sides = {name: found for name, found in digests.items() if name not in manifest.files}
    texts[MANIFEST] = replace(told, sides=sides).text()
    warning = inherited(told.inputs).warning
    warnings = [*_secret(folder, (*files, CARD, MANIFEST)), *([] if warning is None else [warning])]
    return Parcel(folder, repo, files, texts, tuple(warnings))


def _check_name(repo: str) -> None:
    """Raises MergeGraphError if the Hub would not take a name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    if not is_hub_id(repo) or "@" in repo:
        raise MergeGraphError(f"{repo}: not a name on the Hub; write org/name")
    try:
        for each in (repo, *repo.split("/")):
            validate_repo_id(each)
    except HFValidationError as error:
        raise MergeGraphError(f"{repo}: not a name on the Hub: {error}") from error


def _sides(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """The files beside the weights; of a manifest that does not tell them, those that are there."""
    if manifest.sides is not None:
        return tuple(name for name in manifest.sides if (folder / name).is_file())
    there = (each for each in sorted(folder.rglob("*")) if each.is_file())
    names = (each.relative_to(folder) for each in there)
    known = {MANIFEST, *manifest.files}
    return tuple(
        name.as_posix()
        for name in names
        if not any(part.startswith(".") for part in name.parts) and name.as_posix() not in known
    )


def _check_links(folder: Path, names: Iterable[str]) -> None:
    """Raises MergeGraphError for files that are elsewhere: nobody meant to send those."""
    for name in names:
        if not stays_inside(folder / name, folder):
            fact = "is a link that leads out of it; put a copy there, or take it out"
            raise MergeGraphError(f"{folder}: {name} {fact}")


def _secret(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Warnings of texts from which a secret is taken before they are sent."""
    for name in names:
        text = _text(folder, name)
        if text is not None and without_secrets(text) != text:
            fact = "a token or password is left out of it; take it out here, and have it revoked"
            yield f"{folder}: {name}: {fact}"


def _digest(folder: Path, name: str, texts: Mapping[str, str]) -> str:
    return sha256(texts[name].encode()).hexdigest() if name in texts else digest_file(folder / name)


def _retold(folder: Path, name: str) -> str | None:
    """A text file's text where something private was taken out of it; None where there is none."""
    text = _text(folder, name)
    if text is None:
        return None
    path = folder / name
    told = without_home(without_secrets(text))
    if path.name == "config.json":
        told = _without_origin(path, told)
    return told if told != text else None


def _text(folder: Path, name: str) -> str | None:
    """The text of a file; None if it holds something else, or more than is looked through."""
    path = folder / name
    is_other = not path.is_file() or path.suffix == ".safetensors"
    if is_other or path.stat().st_size > _LARGEST:
        return None
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return None


def _without_origin(path: Path, text: str) -> str:
    """A config without the local path that a model was once loaded from."""
    origin = read_json(path).get("_name_or_path")
    if not isinstance(origin, str) or not is_local_path(origin):
        return text
    written = json.dumps(without_home(origin), ensure_ascii=False)
    return text.replace(written, json.dumps(last_part(origin), ensure_ascii=False))


# -- the card --------------------------------------------------------------------------------


def _card(folder: Path, manifest: Manifest, told: Manifest, repo: str, files: set[str]) -> str:
    """The card as it was written by the run, with the name on the Hub; or as it was edited."""
    config = read_json(folder / "config.json")
    path = folder / CARD
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if not text or sha256(text.encode()).hexdigest() == (manifest.sides or {}).get(CARD):
        return card_text(told, repo, config, files)
    facts = card_facts(told, config, files)
    own, body = parse_card(without_home(without_secrets(text)))
    merged = {**facts, **{key: value for key, value in own.items() if key not in _MADE_OF}}
    merged["tags"] = list(dict.fromkeys([*facts["tags"], *words(own.get("tags"))]))
    return front_matter(merged) + body


# -- the way to the Hub ----------------------------------------------------------------------


def push(
    packed: Parcel,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    create_pr: bool = False,
    shows_progress: bool = False,
) -> str:
    """Send a parcel as one commit, the repository made if there is none; gives its address.

    Weights that a broken attempt has sent are not sent again. Raises RunError if the Hub refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    if not shows_progress:
        disable_progress_bars()
    api = HfApi(library_name="mergegraph")
    with _told(packed.repo):
        created = api.create_repo(packed.repo, private=private or None, exist_ok=True)
        if revision is not None and not create_pr:
            api.create_branch(created.repo_id, branch=revision, exist_ok=True)
        done = api.create_commit(
            created.repo_id,
            [*_additions(packed), *_deletions(packed, api, revision)],
            commit_message=message or "Upload a merge made with mergegraph",
            revision=revision,
            create_pr=create_pr,
        )
    return str(done.pr_url or created)


def _additions(packed: Parcel) -> Iterator[Any]:
    from huggingface_hub import CommitOperationAdd

    for name in packed.files:
        if name not in packed.texts:
            yield CommitOperationAdd(name, packed.folder / name)
    for name, text in packed.texts.items():
        yield CommitOperationAdd(name, text.encode())


def _deletions(packed: Parcel, api: Any, revision: str | None) -> Iterator[Any]:
    """Weights of an earlier state, which would stand beside those of this one."""
    from huggingface_hub import CommitOperationDelete

    sent = {*packed.files, *packed.texts}
    for name in api.list_repo_files(packed.repo, revision=revision):
        if is_shard(name) and name not in sent:
            yield CommitOperationDelete(name)


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """What goes wrong on the way, in a sentence."""
    from huggingface_hub import errors
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise MergeGraphError(f"{repo}: HF_HUB_OFFLINE is set; unset it to push") from discreet(
            error
        )
    except errors.HfHubHTTPError as error:
        raise RunError(f"{repo}: {_reason(error)}") from discreet(error)
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        fact = f"could not be sent: {error}; the same command sends what is missing"
        raise RunError(f"{repo}: {without_home(fact)}") from discreet(error)


def _reason(error: Any) -> str:
    status = getattr(error.response, "status_code", None)
    if status in (401, 403):
        return "the Hub refuses; log in with a token that may write there: hf auth login"
    return f"the Hub refuses: {str(error).strip().splitlines()[0]}"
