"""A result on disk: work in `OUT.partial`, a journal of what is finished, renamed when whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mergegraph.config import config_files
from mergegraph.errors import MergeGraphError, RunError
from mergegraph.files.header import Entry
from mergegraph.files.jsonfiles import read_json
from mergegraph.machine import boot, usable_cores
from mergegraph.plans import Directory, Output
from mergegraph.provenance.card import card_text, default_name
from mergegraph.provenance.digesting import digest_file, digest_range, digest_tensors
from mergegraph.provenance.frontmatter import CARD
from mergegraph.provenance.manifest import MANIFEST, Manifest
from mergegraph.writing.bond import Bond, changes
from mergegraph.writing.journal import JOURNAL, Journal, Work, read_journal, tensor_line
from mergegraph.writing.shards import Shard, Slot, create, index_texts
from mergegraph.writing.writer import File, Writer, cannot_write


@dataclass(frozen=True)
class Found:
    """What is where a result is to be: all of it, or unfinished work to go on with.

    `lost` are tensors that the work says are finished, and that are not as they were.
    """

    bond: Bond
    is_done: bool = False
    work: Work = field(default_factory=Work)
    lost: frozenset[str] = frozenset()
    note: str | None = None

    @property
    def finished(self) -> dict[str, str]:
        """The SHA-256 of each tensor that is finished."""
        return {n: digest for n, digest in self.work.finished.items() if n not in self.lost}


def look(directory: Directory, shards: tuple[Shard, ...], bond: Bond, *, restart: bool) -> Found:
    """See what an earlier run left; raises MergeGraphError if it is in the way."""
    path = directory.path
    _check_writable(path)
    if path.exists():
        _check_in_the_way(directory, restart=restart)
        if not restart and (path / MANIFEST).is_file():
            return Found(bond, is_done=True, note=f"{path}: done already, with this plan")
    partial = partial_path(path)
    if not partial.exists():
        return Found(bond)
    if not (partial / JOURNAL).is_file() and not (partial.is_dir() and not any(partial.iterdir())):
        raise MergeGraphError(f"{partial}: is in the way and not the work of mergegraph; move it")
    work = read_journal(partial)
    if unusable := _unusable(partial, shards, bond, work):
        return Found(bond, note=f"{partial}: not gone on with, {unusable}; starting anew")
    return _unfinished(partial, shards, bond, work)


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


def _unfinished(partial: Path, shards: Sequence[Shard], bond: Bond, work: Work) -> Found:
    """Work to go on with; after the machine itself went down, what is finished is read again."""
    slots = {name: slot for shard in shards for name, slot in shard.slots.items()}
    lost: frozenset[str] = frozenset()
    if work.runs and work.runs[-1].boot != boot():
        there = {name: slots[name] for name in work.finished if name in slots}
        lost = frozenset(_lost(partial, there, work.finished))
    finished = len(work.finished) - len(lost)
    told = f"{partial}: continuing, {finished} of {max(len(slots), finished)} tensors are finished"
    if lost:
        told += f"; {len(lost)} did not outlast the machine's going down and are made again"
    is_begun = finished or lost or work.values or work.milestones
    return Found(bond, work=work, lost=lost, note=told if is_begun else None)


def _lost(partial: Path, slots: Mapping[str, Slot], digests: Mapping[str, str]) -> Iterator[str]:
    """The tensors whose bytes are not those that were written."""
    entries = {n: Entry(partial / s.file, s.offset, s.spec, n) for n, s in slots.items()}
    try:
        found = digest_tensors(entries, usable_cores())
    except RunError:
        yield from slots
        return
    yield from (name for name in slots if found[name].sha256 != digests[name])


def partial_path(path: Path) -> Path:
    """Where a result is while it is not whole."""
    return path.with_name(f"{path.name}.partial")


class Result:
    """A result being written. Slots are filled from any thread, finished ones journalled."""

    def __init__(
        self,
        directory: Directory,
        shards: tuple[Shard, ...],
        found: Found,
        writer: Writer,
        command: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.shards = shards
        self.found = found
        self.command = command
        self.digests = found.finished
        self._slots = {name: slot for shard in shards for name, slot in shard.slots.items()}
        self.partial = partial_path(directory.path)
        self._journal = Journal(self.partial)
        self._writer = writer
        self._files: dict[str, File] = {}

    def open(self) -> None:
        """Make the partial directory with all its files at full size, or open what is there."""
        try:
            self.partial.mkdir(parents=True, exist_ok=True)
            self._journal.open()
            if self.found.work.bond:
                self._go_on()
            else:
                self._begin()
            self._journal.run(self.command)
            for shard in self.shards:
                self._files[shard.file] = File(self.partial / shard.file)
        except OSError as error:
            raise cannot_write(self.partial, error) from error

    def sink(self, output: Output) -> SlotSink:
        """Where the strips of a tensor, or of a part of one, go."""
        if output.part is None:
            return SlotSink(self, output.name, self._slots[output.name])
        slot, spec = self._slots[output.part.whole.name], output.task.spec
        offset = slot.offset + output.part.number * spec.nbytes
        return SlotSink(self, output.name, Slot(slot.file, offset, spec))

    def write(self, slot: Slot, start: int, strip: Any) -> None:
        """Put the bytes of a strip at their place."""
        import torch

        offset = slot.offset + start * slot.spec.itemsize
        self._writer.write(self._files[slot.file], offset, strip.view(torch.uint8))

    def finish(self, name: str, digest: str) -> None:
        """Note that a tensor is whole, as soon as its last byte is written."""
        self.digests[name] = digest
        self.note(tensor_line(name, digest))

    def settle(self) -> None:
        """Find the digests of tensors that were written in parts, once all are on the disk."""
        entries = {
            name: Entry(self.partial / slot.file, slot.offset, slot.spec, name)
            for name, slot in self._slots.items()
            if name not in self.digests
        }
        for name, found in digest_tensors(entries, usable_cores()).items():
            self.digests[name] = found.sha256

    def note(self, line: Mapping[str, Any]) -> None:
        """Note something in the journal, as soon as what was handed in before is written."""
        self._writer.then(lambda: self._write(line))

    def digest(self, output: Output, entries: int) -> Any:
        """The SHA-256, to be gone on with, of so many entries that an earlier run wrote."""
        slot = self.sink(output).slot
        nbytes = min(entries, slot.spec.numel) * slot.spec.itemsize
        return digest_range(self.partial / slot.file, slot.offset, nbytes)

    def _write(self, line: Mapping[str, Any]) -> None:
        try:
            self._journal.write(line)
        except OSError as error:
            raise cannot_write(self.partial / JOURNAL, error) from error

    def seal(self, manifest: Manifest) -> None:
        """Add the files that go with the weights and give the directory its name."""
        self._writer.drain()
        self._close_files()
        try:
            self._add_sides(manifest)
            _put_in_place(self.partial, self.directory.path)
        except OSError as error:
            raise cannot_write(self.partial, error) from error
        self._journal.close()

    def close(self) -> None:
        """Close all files."""
        self._close_files()
        self._journal.close()

    def _begin(self) -> None:
        """Clear away what is there, the journal last: as long as it is there, all this is ours."""
        self._journal.begin({})
        for each in self.partial.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            elif each.name != JOURNAL:
                each.unlink()
        for shard in self.shards:
            create(self.partial, shard)
        self._journal.begin(self.found.bond)

    def _go_on(self) -> None:
        work = self.found.work
        if read_journal(self.partial).nbytes != work.nbytes:
            fact = "changed while this run was being planned; run the command again"
            raise MergeGraphError(f"{self.partial}: {fact}")
        self._journal.go_on(work.nbytes)

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _add_sides(self, manifest: Manifest) -> None:
        """Write what stands beside the weights, last the manifest, which has hashes of it all."""
        sides = self.directory.sides
        config = self.directory.config
        root = sides.tree.root if sides.tree else Path()
        for name in sides.names:
            target = self.partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, target)
        written = {**(sides.texts or {}), **index_texts(self.shards)}
        for name, part in config_files(config):
            written[name] = json.dumps(part, indent=2) + "\n"
        names = {*sides.names, *written, CARD}
        card = card_text(manifest, default_name(manifest), config, names)
        written.setdefault(CARD, card)  # some commands have a card of their own
        for name, text in written.items():
            (self.partial / name).write_text(text, encoding="utf-8")
        digests = {name: digest_file(self.partial / name) for name in names}
        told = replace(manifest, sides=digests).text()
        (self.partial / MANIFEST).write_text(told, encoding="utf-8")


@dataclass(frozen=True)
class SlotSink:
    """The sink of one tensor of a result."""

    result: Result
    name: str
    slot: Slot

    def write(self, start: int, strip: Any) -> None:
        """Put a strip at its place in the file."""
        self.result.write(self.slot, start, strip)

    def finish(self, digest: str) -> None:
        """Journal the tensor."""
        self.result.finish(self.name, digest)


def tidy(path: Path) -> None:
    """Clear away what a run leaves that is killed just when its result is in place."""
    (path / JOURNAL).unlink(missing_ok=True)
    replaced = _replaced_path(path)
    if (replaced / MANIFEST).is_file():
        shutil.rmtree(replaced, ignore_errors=True)


def _put_in_place(partial: Path, path: Path) -> None:
    """Rename a result that is whole; killed between any two lines, the next run ends the work."""
    tidy(path)
    if path.exists():
        path.rename(_replaced_path(path))
    partial.rename(path)
    tidy(path)


def _replaced_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.replaced")


def _check_writable(path: Path) -> None:
    """A directory can be made here, as far as can be told without making it."""
    try:
        _replaced_path(path).exists()
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
        raise MergeGraphError(
            f"{path}: holds the result of another plan; choose another --out, or --restart"
        )
    for file, nbytes in manifest.get("files", {}).items() if not restart else ():
        if not (path / file).is_file() or (path / file).stat().st_size != nbytes:
            raise MergeGraphError(f"{path}: {file} is missing or cut; make it anew with --restart")
