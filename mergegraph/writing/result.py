"""A result on disk: work in `OUT.partial`, a journal of what is finished, renamed when whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mergegraph.config import config_files
from mergegraph.errors import MergeGraphError, RunError
from mergegraph.files.header import Entry
from mergegraph.files.trees import stamp_in
from mergegraph.machine import usable_cores
from mergegraph.plans import Directory, Output
from mergegraph.provenance.card import card_text, default_name
from mergegraph.provenance.digesting import digest_file, digest_range, digest_tensors
from mergegraph.provenance.frontmatter import CARD
from mergegraph.provenance.manifest import MANIFEST, Manifest
from mergegraph.writing.copying import copy_file
from mergegraph.writing.found import Found, partial_path, replaced_path, there
from mergegraph.writing.journal import JOURNAL, Journal, lost_line, read_journal, tensor_line
from mergegraph.writing.shards import Shard, Slot, create, index_texts
from mergegraph.writing.syncing import sync_folder, sync_tree
from mergegraph.writing.writer import File, Writer, cannot_write


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
            if there(self.directory.path) != self.found.there:
                fact = "changed while this run was being planned; run the command again"
                raise MergeGraphError(f"{self.directory.path}: {fact}")
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
            self._sync()
            if os.name == "nt":  # where nothing is renamed that is open
                self._journal.close()
            _put_in_place(self.partial, self.directory.path)
        except OSError as error:
            raise cannot_write(self.partial, error) from error
        self._journal.close()

    def _sync(self) -> None:
        """Have all of it on the disk.

        Of bytes that are lost on their way there a system tells once, and not which: none is good.
        """
        try:
            sync_tree(self.partial)
        except OSError:
            self.spoil()
            raise

    def spoil(self) -> None:
        """Have the next run start from the beginning: what is there is not to be taken for good."""
        if self._journal.is_open:
            self._journal.begin({})

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
        self._journal.begin(self.found.bond, self.found.inputs)

    def _go_on(self) -> None:
        work = self.found.work
        if read_journal(self.partial).nbytes != work.nbytes:
            fact = "changed while this run was being planned; run the command again"
            raise MergeGraphError(f"{self.partial}: {fact}")
        self._journal.go_on(work.nbytes)
        if self.found.lost:
            self._journal.write(lost_line(self.found.lost))

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
            copy_file(root / name, target, stamp_in(sides.tree, name))
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
    replaced = replaced_path(path)
    if (replaced / MANIFEST).is_file():
        shutil.rmtree(replaced, ignore_errors=True)


def _put_in_place(partial: Path, path: Path) -> None:
    """Rename a result that is whole; killed between any two lines, the next run ends the work."""
    tidy(path)
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        path.rmdir()
    if path.exists():
        path.rename(replaced_path(path))
    partial.rename(path)
    try:
        sync_folder(path.parent)
    except OSError as error:
        fact = "is whole, but whether a power cut would leave it its name, the disk does not tell"
        raise RunError(f"{path}: {fact}: {error.strerror}") from error
    tidy(path)
