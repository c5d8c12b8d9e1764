"""Files of a commit brought into the Hub's cache, each resumed where it stopped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from typing import Any

from mergegraph import MergeGraphError
from mergegraph_sources.parts.parallel import OnBytes, bring_all
from mergegraph_sources.parts.repository import Repository, Stored, remember_revision
from mergegraph_sources.parts.wire import Wire

_LARGEST_BY_HTTP = 50 * 10**9  # larger ones come by Xet alone, which is the library's matter


def download(repository: Repository, names: Iterable[str], wire: Wire, on_bytes: OnBytes) -> None:
    """Bring files into the Hub's cache; those that are there already stay."""
    missing = [name for name in names if not repository.is_cached(name)]
    largest_first = sorted(missing, key=lambda name: -repository.files[name].nbytes)
    with _no_bars():
        bring_all(
            largest_first,
            lambda name, counted: _bring(repository, name, wire, counted),
            on_bytes,
        )
    if names:
        remember_revision(repository)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep the Hub's library from showing bars of its own."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _bring(repository: Repository, name: str, wire: Wire, on_bytes: OnBytes) -> None:
    if repository.files[name].nbytes > _LARGEST_BY_HTTP:
        _by_library(repository, name, on_bytes)
    else:
        _bring_blob(repository, name, wire, on_bytes)
        _link(repository, name)


def _by_library(repository: Repository, name: str, on_bytes: OnBytes) -> None:
    """Have the Hub's library bring a file."""
    from huggingface_hub import hf_hub_download

    on_bytes(0)
    hf_hub_download(
        repository.name,
        name,
        revision=repository.commit,
        endpoint=repository.endpoint,
        cache_dir=repository.home.parent,
    )
    on_bytes(repository.files[name].nbytes)


def _bring_blob(repository: Repository, name: str, wire: Wire, on_bytes: OnBytes) -> None:
    """Bring a blob of the cache; what an earlier run has of it is kept."""
    from huggingface_hub.utils import WeakFileLock

    stored = repository.files[name]
    blob = repository.home / "blobs" / stored.digest
    part = blob.with_name(f"{blob.name}.mergegraph.incomplete")
    lock = repository.home.parent / ".locks" / repository.home.name / f"{blob.name}.lock"
    for folder in (blob.parent, lock.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.exists():
            on_bytes(stored.nbytes)
            return
        digest = _append(part, stored, repository.url(name), wire, on_bytes)
        if digest != stored.digest:
            part.unlink()
            what = f"{name} came with other bytes than its {stored.algorithm} says"
            raise MergeGraphError(f"{repository.name}: {what}; run again")
        part.replace(blob)


def _link(repository: Repository, name: str) -> None:
    """Give a blob the name that its file has at the commit, as the Hub's library does."""
    path, blob = (
        repository.snapshot / name,
        repository.home / "blobs" / repository.files[name].digest,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.symlink_to(os.path.relpath(blob, path.parent))
    except FileExistsError as error:
        if not repository.is_cached(name):  # brought by another run meanwhile
            raise MergeGraphError(f"{path}: is in the way; move it, and run again") from error
    except OSError:  # where there are no links
        copyfile(blob, path)


def _append(part: Path, stored: Stored, url: str, wire: Wire, on_bytes: OnBytes) -> str:
    """Bring what is missing of a file; gives the digest of all of it."""
    digest = stored.begun
    with part.open("a+b") as file:
        if file.tell() > stored.nbytes:
            file.truncate(0)
        have = _digested(file, digest)
        on_bytes(have)
        for piece in wire.pieces(url, have, stored.nbytes):
            file.write(piece)
            digest.update(piece)
            on_bytes(len(piece))
        file.flush()
        os.fsync(file.fileno())
    told: str = digest.hexdigest()
    return told


def _digested(file: Any, digest: Any) -> int:
    """Take in what a file has; gives how much that is."""
    file.seek(0)
    have = 0
    while data := file.read(2**20):
        digest.update(data)
        have += len(data)
    return have
