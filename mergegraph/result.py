"""A result on disk: work in `OUT.partial`, a journal of what is finished, renamed when whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from mergegraph.checkpoint import read_json
from mergegraph.errors import MergeGraphError, RunError
from mergegraph.plans import Directory
from mergegraph.shards import INDEX, Shard, Slot, create, index_text

MANIFEST = "mergegraph.json"
JOURNAL = "mergegraph.journal"


@dataclass(frozen=True)
class Found:
    """What is where a result is to be: finished tensors by name, or all of it."""

    is_done: bool
    finished: Mapping[str, str]
    note: str | None = None


def look(directory: Directory, shards: tuple[Shard, ...], *, restart: bool) -> Found:
    """See what an earlier run left; raises MergeGraphError if it is in the way."""
    path = directory.path
    if path.exists():
        _check_in_the_way(directory, restart=restart)
        if not restart and (path / MANIFEST).is_file():
            (path / JOURNAL).unlink(missing_ok=True)
            return Found(is_done=True, finished={}, note=f"{path}: done already, with this plan")
    partial = partial_path(path)
    if not partial.exists():
        return Found(is_done=False, finished={})
    journal = partial / JOURNAL
    if not journal.is_file() and any(partial.iterdir()):
        raise MergeGraphError(f"{partial}: is in the way and not the work of mergegraph; move it")
    finished = {} if restart else _finished(journal, _bond(directory, shards))
    if finished is None:
        note = f"{partial}: left by another plan, not used; starting from the beginning"
        return Found(is_done=False, finished={}, note=note)
    told = f"{partial}: continuing, {len(finished)} tensors are finished" if finished else None
    return Found(is_done=False, finished=finished, note=told)


def partial_path(path: Path) -> Path:
    """Where a result is while it is not whole."""
    return path.with_name(f"{path.name}.partial")


class Result:
    """A result being written. Slots are filled from any thread, finished ones journalled."""

    def __init__(
        self, directory: Directory, shards: tuple[Shard, ...], finished: Mapping[str, str]
    ) -> None:
        self.directory = directory
        self.shards = shards
        self.digests = dict(finished)
        self.partial = partial_path(directory.path)
        self._lock = Lock()
        self._files: dict[str, int] = {}
        self._journal: Any = None

    def open(self) -> None:
        """Make the partial directory with all its files at full size, or open what is there."""
        if not self.digests:
            shutil.rmtree(self.partial, ignore_errors=True)
        try:
            self.partial.mkdir(parents=True, exist_ok=True)
            self._journal = (self.partial / JOURNAL).open("a", encoding="utf-8")
            if not self.digests:
                self._note({"bond": _bond(self.directory, self.shards)})
            for shard in self.shards:
                if not self.digests:
                    create(self.partial, shard)
                flags = os.O_WRONLY | getattr(os, "O_BINARY", 0)
                self._files[shard.file] = os.open(self.partial / shard.file, flags)
        except OSError as error:
            raise _failed(self.partial, error) from error

    def sink(self, name: str) -> SlotSink:
        """Where the strips of a tensor go."""
        slot = next(shard.slots[name] for shard in self.shards if name in shard.slots)
        return SlotSink(self, name, slot)

    def write(self, slot: Slot, start: int, strip: Any) -> None:
        """Put the bytes of a strip at their place."""
        import torch

        data = memoryview(strip.view(torch.uint8).numpy()) if strip.numel() else memoryview(b"")
        offset = slot.offset + start * slot.spec.itemsize
        try:
            while data:
                count = self._write_at(slot.file, data, offset)
                data, offset = data[count:], offset + count
        except OSError as error:
            raise _failed(self.partial / slot.file, error) from error

    def finish(self, name: str, digest: str) -> None:
        """Note that a tensor is whole."""
        with self._lock:
            self.digests[name] = digest
            self._note({"tensor": name, "sha256": digest})

    def seal(self, texts: Mapping[str, str]) -> None:
        """Add the files that go with the weights and give the directory its name."""
        self.close()
        try:
            self._add_sides(texts)
            _put_in_place(self.partial, self.directory.path)
        except OSError as error:
            raise _failed(self.partial, error) from error

    def close(self) -> None:
        """Close all files."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _write_at(self, file: str, data: memoryview, offset: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._files[file], data, offset)
        with self._lock:
            os.lseek(self._files[file], offset, os.SEEK_SET)
            return os.write(self._files[file], data)

    def _note(self, line: Mapping[str, str]) -> None:
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()

    def _add_sides(self, texts: Mapping[str, str]) -> None:
        sides = self.directory.sides
        for name in sides.names:
            target = self.partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile((sides.root or Path()) / name, target)
        written = {**texts, **(sides.texts or {})}
        if len(self.shards) > 1:
            written[INDEX] = index_text(self.shards)
        if self.directory.config:
            written["config.json"] = json.dumps(self.directory.config, indent=2) + "\n"
        for name, text in written.items():
            (self.partial / name).write_text(text, encoding="utf-8")


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


def _put_in_place(partial: Path, path: Path) -> None:
    """Rename a result that is whole; killed between any two lines, the next run ends the work."""
    replaced = path.with_name(f"{path.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if path.exists():
        path.rename(replaced)
    partial.rename(path)
    (path / JOURNAL).unlink()
    shutil.rmtree(replaced, ignore_errors=True)


def _bond(directory: Directory, shards: tuple[Shard, ...]) -> str:
    """What unfinished work belongs to: the plan, and the layout of its files."""
    digest = sha256(directory.key.encode())
    for shard in shards:
        digest.update(shard.file.encode() + shard.header)
    return digest.hexdigest()


def _check_in_the_way(directory: Directory, *, restart: bool) -> None:
    path = directory.path
    if path.is_dir() and not any(path.iterdir()):
        return
    if not (path / MANIFEST).is_file():
        raise MergeGraphError(
            f"{path}: exists and is not a result of mergegraph; choose another --out"
        )
    if not restart and read_json(path / MANIFEST).get("key") != directory.key:
        raise MergeGraphError(
            f"{path}: holds the result of another plan; choose another --out, or --restart"
        )


def _finished(journal: Path, bond: str) -> dict[str, str] | None:
    """The finished tensors that a journal names; None if it is of another plan."""
    lines = []
    if journal.is_file():
        for line in journal.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break  # the line being written when the run was killed
    if not lines:
        return {}
    if lines[0] != {"bond": bond}:
        return None
    return {line["tensor"]: line["sha256"] for line in lines[1:]}


def _failed(path: Path, error: OSError) -> RunError:
    return RunError(f"{path}: cannot be written: {error.strerror or error}")
