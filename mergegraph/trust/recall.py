"""Recall: inputs found again by what a manifest says of them, and compared."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.files.references import at_home
from mergegraph.files.trees import Source, Tree
from mergegraph.library import Library
from mergegraph.plugins import Plugins
from mergegraph.provenance.fingerprint import fingerprint
from mergegraph.provenance.lineage import Ancestor
from mergegraph.provenance.manifest import Manifest

_HUB = "hf"  # the scheme of the Hub


@dataclass(frozen=True)
class Recalled:
    """An input as it is now: where it is, and how it differs from what the manifest says."""

    ancestor: Ancestor
    root: Path | None
    differences: tuple[str, ...] = ()


def recalled(
    manifest: Manifest, folder: Path, plugins: Plugins
) -> tuple[Path, tuple[Recalled, ...]]:
    """The inputs of a result, and the directory that their relative paths begin from.

    That is where you are, or one above the result: the one where most of them are found.
    """
    here = Path.cwd()
    starts = dict.fromkeys((here, *folder.resolve().parents))
    best = max(starts, key=lambda start: sum(_is_there(start, each) for each in manifest.inputs))
    library = Library(at_commits(plugins.sources, manifest.inputs), ())
    with working_in(best):
        return best, tuple(_recall(each, library) for each in manifest.inputs)


def at_commits(sources: Mapping[str, Source], inputs: Iterable[Ancestor]) -> dict[str, Source]:
    """Sources that open what was read then, also where a branch has moved on since."""
    pins = {
        each.model.removeprefix(f"{_HUB}:"): each.at.removeprefix(f"{_HUB}:")
        for each in inputs
        if each.at is not None and each.commit is not None
    }

    def pinned(scheme: str, source: Source) -> Source:
        def open_pinned(rest: str) -> Tree:
            return source.open(pins.get(rest, rest))

        return replace(source, open=open_pinned) if scheme == _HUB else source

    return {scheme: pinned(scheme, source) for scheme, source in sources.items()}


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Have relative paths begin from a directory for a while."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _is_there(start: Path, ancestor: Ancestor) -> bool:
    """Whether an input's files, of the sizes told, are where a relative path leads from there."""
    path = start / ancestor.model
    if not ancestor.files or at_home(ancestor.model).is_absolute():
        return False
    root = path.parent if path.is_file() else path
    return all(_nbytes(root / each.name) == each.nbytes for each in ancestor.files)


def _nbytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _recall(ancestor: Ancestor, library: Library) -> Recalled:
    try:
        checkpoint = library.checkpoint(ancestor.model)
        root = checkpoint.tree.root.resolve() if checkpoint.tree.is_local else None
        return Recalled(ancestor, root, tuple(_differences(ancestor, checkpoint)))
    except MergeGraphError as error:
        text = str(error).removeprefix(f"{ancestor.model}: ")
        return Recalled(ancestor, None, (f"cannot be compared: {text}",))


def _differences(ancestor: Ancestor, checkpoint: Checkpoint) -> Iterator[str]:
    for name in checkpoint.headers:
        if name not in {each.name for each in ancestor.files}:
            yield f"{name} was not there when the result was made"
    for told in ancestor.files:
        header = checkpoint.headers.get(told.name)
        if header is None:
            yield f"{told.name} is missing"
        elif header.nbytes != told.nbytes:
            yield f"{told.name} has {header.nbytes} bytes, not {told.nbytes} as when it was read"
        elif fingerprint(checkpoint.tree, told.name, header) != told.fingerprint:
            yield f"{told.name} is not the file that was read: its fingerprint differs"
