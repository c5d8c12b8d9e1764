"""What is where a result is to be: all of it, unfinished work, or something in the way."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError, RunError
from mergegraph.files.header import Entry
from mergegraph.files.jsonfiles import read_json
from mergegraph.files.stamps import Stamp
from mergegraph.machine import boot, usable_cores
from mergegraph.plans import Directory
from mergegraph.provenance.digesting import digest_tensors
from mergegraph.provenance.discretion import without_home
from mergegraph.provenance.manifest import MANIFEST
from mergegraph.running.milestones import Left
from mergegraph.secrecy import without_secrets
from mergegraph.writing.bond import Bond, changes
from mergegraph.writing.journal import JOURNAL, NO_INPUTS, Work, read_journal
from mergegraph.writing.made import package_versions
from mergegraph.writing.shards import Shard, Slot


@dataclass(frozen=True)
class Found:
    """What is where a result is to be: all of it, or unfinished work to go on with.

    `there` tells the result at its place from others, `lost` are tensors that the work says are
    finished, and that are not as they were.
    """

    bond: Bond
    there: str = ""
    inputs: Mapping[Path, Stamp] = field(default_factory=dict)
    is_done: bool = False
    work: Work = field(default_factory=Work)
    lost: frozenset[str] = frozenset()
    note: str | None = None

    @property
    def finished(self) -> dict[str, str]:
        """The SHA-256 of each tensor that is finished."""
        return {n: digest for n, digest in self.work.finished.items() if n not in self.lost}


def look(
    directory: Directory,
    shards: tuple[Shard, ...],
    bond: Bond,
    inputs: Mapping[Path, Stamp] = NO_INPUTS,
    *,
    restart: bool,
) -> Found:
    """See what an earlier run left, of inputs that may have changed since.

    Raises MergeGraphError if it is in the way.
    """
    path = directory.path
    _check_writable(path)
    if path.exists():
        _check_in_the_way(directory, restart=restart)
        if not restart and (path / MANIFEST).is_file():
            return Found(
                bond,
                there(path),
                inputs,
                is_done=True,
                note=f"{path}: done already, with this plan{_laid_out_otherwise(path, shards)}",
            )
    partial, now = partial_path(path), there(path)
    if not partial.exists():
        return Found(bond, now, inputs)
    if not (partial / JOURNAL).is_file() and not (partial.is_dir() and not any(partial.iterdir())):
        fact = "is in the way: it has no journal, so it cannot be gone on with; move or delete it"
        raise MergeGraphError(f"{partial}: {fact}")
    work = read_journal(partial)
    if unusable := _unusable(partial, shards, bond, work) or _outdated(work, inputs):
        return Found(
            bond, now, inputs, note=f"{partial}: not gone on with, {unusable}; starting anew"
        )
    return replace(_unfinished(partial, shards, bond, work), there=now, inputs=inputs)


def _unusable(partial: Path, shards: Sequence[Shard], bond: Bond, work: Work) -> str:
    """Why unfinished work cannot be gone on with; nothing if it can, or if there is none."""
    if not work.bond:
        return "its journal is damaged" if work.is_damaged else ""
    if changed := changes(work.bond, bond):
        return f"as it was begun before {changed} changed"
    for each in shards:
        file = partial / each.file
        if not file.is_file() or file.stat().st_size != each.nbytes:
            return f"as {each.file} is missing or cut"
    return ""


def _outdated(work: Work, inputs: Mapping[Path, Stamp]) -> str:
    """Which input is not what it was, also if its size and time were put back."""
    for path, stamp in work.inputs.items():
        if not stamp.is_of(inputs.get(path, stamp)):
            return f"as it was begun before the input {path} changed"
    return ""


def _unfinished(partial: Path, shards: Sequence[Shard], bond: Bond, work: Work) -> Found:
    """Work to go on with; after the machine itself went down, what is finished is read again."""
    slots = {name: slot for shard in shards for name, slot in shard.slots.items()}
    lost: frozenset[str] = frozenset()
    if work.runs and (not boot() or work.runs[-1].boot != boot()):
        lost = frozenset(_lost(partial, slots, work.finished))
    finished = len((work.finished.keys() & slots.keys()) - lost)
    told = f"{partial}: continuing, {finished} of {len(slots)} tensors are finished"
    if lost:
        told += f"; {len(lost)} did not outlast the machine's going down and are made again"
    is_begun = finished or lost or work.values or work.milestones
    return Found(bond, work=work, lost=lost, note=told if is_begun else None)


def _lost(partial: Path, slots: Mapping[str, Slot], digests: Mapping[str, str]) -> Iterator[str]:
    """The tensors whose bytes are not those that were written, and parts, which nobody knows."""
    there = {name: slots[name] for name in digests if name in slots}
    entries = {n: Entry(partial / s.file, s.offset, s.spec, n) for n, s in there.items()}
    try:
        found = digest_tensors(entries, usable_cores())
    except RunError:
        yield from digests
        return
    yield from (n for n, told in digests.items() if n not in found or found[n].sha256 != told)


def left_by(found: Iterable[Found]) -> Left:
    """What earlier runs left of several results together."""
    work = [each.work for each in found]
    values = {key: value for each in work for key, value in each.values.items()}
    return Left(values, {key: m for each in work for key, m in each.milestones.items()})


def there(path: Path) -> str:
    """What tells a whole result at a place from others; nothing if there is none."""
    try:
        return sha256((path / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return ""


def partial_path(path: Path) -> Path:
    """Where a result is while it is not whole."""
    return _beside(path, "partial")


def replaced_path(path: Path) -> Path:
    """Where an older result is until the new one is in its place."""
    return _beside(path, "replaced")


def _beside(path: Path, word: str) -> Path:
    named = path if path.name else path.absolute()  # of `.`, too
    return named.with_name(f"{named.name}.{word}")


def _check_writable(path: Path) -> None:
    """A directory can be made here, as far as can be told without making it."""
    try:
        replaced_path(path).exists()
    except OSError as error:
        fact = f"cannot be made: {error.strerror}; choose another --out"
        raise MergeGraphError(f"{path}: {fact}") from error
    above = path.parent
    while not above.exists() and above != above.parent:
        above = above.parent
    if path.is_symlink() and not path.exists():
        raise MergeGraphError(f"{path}: is a link that leads nowhere; choose another --out")
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise MergeGraphError(f"{path}: cannot be made in {above}; choose another --out")


def _check_in_the_way(directory: Directory, *, restart: bool) -> None:
    path = directory.path
    if path.is_dir() and not any(path.iterdir()):
        return
    if not (path / MANIFEST).is_file():
        raise MergeGraphError(
            f"{path}: exists and is not a result of mergegraph; choose another --out"
        )
    manifest = read_json(path / MANIFEST)
    if not restart and manifest.get("key") != directory.key:
        fact = f"holds the result of another plan: {_changed(manifest, directory)}"
        raise MergeGraphError(f"{path}: {fact}; choose another --out, or --restart")
    if restart:
        return
    for file, nbytes in manifest.get("files", {}).items():
        if not (path / file).is_file() or (path / file).stat().st_size != nbytes:
            raise MergeGraphError(f"{path}: {file} is missing or cut; make it anew with --restart")
    for file in manifest.get("sides") or ():
        if not (path / file).is_file():
            raise MergeGraphError(f"{path}: {file} is missing; make it anew with --restart")


def _changed(manifest: Mapping[str, Any], directory: Directory) -> str:
    """What is known to differ from what a result was made of, for people."""
    text = without_home(without_secrets(directory.origin.text))
    if manifest.get("recipe", {}).get("text") != text:
        return "the recipe is another one"
    before, now = manifest.get("packages", {}), package_versions()
    others = [
        f"{name} was {before[name]}" for name in now if before.get(name, now[name]) != now[name]
    ]
    return ", ".join(others) or "a setting, the seed, an input or a side file is another one"


def _laid_out_otherwise(path: Path, shards: Sequence[Shard]) -> str:
    """A word on files that are not those asked for."""
    files = read_json(path / MANIFEST).get("files", {})
    if files == {each.file: each.nbytes for each in shards}:
        return ""
    counts = f"{len(files)}, not {len(shards)}"
    return f", in other files than now asked for ({counts}); --restart makes these"
