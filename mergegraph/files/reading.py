"""Reading strips of tensors, from files or from memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from mergegraph.errors import ChangedError, RunError, refusal
from mergegraph.files.header import Entry, Spliced
from mergegraph.files.opened import OpenFiles
from mergegraph.files.views import View, fill_view
from mergegraph.rowmap import ABSENT, RowMap
from mergegraph.spec import Spec

Rows = RowMap | int | None  # of a load: rows by a map, the first ones only, or all


@dataclass(frozen=True)
class MemoryEntry:
    """A tensor that is in memory already, of whatever device, in place of one in a file."""

    tensor: Any
    spec: Spec
    identity: str

    @property
    def parts(self) -> tuple[MemoryEntry, ...]:
        """Itself."""
        return (self,)

    def read(self, start: int, stop: int) -> Any:
        """The entries from start to stop, flat, in main memory."""
        return _part(self.tensor, start, stop).cpu()


Stream = Callable[[int, int], bytes]  # the bytes of a file from start to stop
Readable = Entry | Spliced | MemoryEntry | View


class Reader:
    """Input files, opened as they are read; those that are elsewhere come through their streams."""

    def __init__(self, streams: Mapping[Path, Stream]) -> None:
        self._streams = streams
        self._files = OpenFiles()
        self._lock = Lock()  # where a file has one place for all who read it

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def read(
        self,
        entry: Readable,
        start: int,
        stop: int,
        *,
        rows: Rows = None,
        is_pinned: bool = False,
    ) -> Any:
        """The entries from start to stop of a tensor, flat; raises RunError if they are lost.

        They are those of the tensor that a row map makes of it, if one is given. They may be read
        into memory that an accelerator copies from by itself.
        """
        import torch

        if isinstance(entry, MemoryEntry) and not isinstance(rows, RowMap):
            return entry.read(start, stop)
        dtype = getattr(torch, entry.spec.dtype)
        strip = torch.empty(stop - start, dtype=dtype, pin_memory=is_pinned)
        self.fill(strip, entry, start, rows)
        return strip

    def fill(self, strip: Any, entry: Readable, start: int, rows: Rows = None) -> None:
        """Read entries from start on into a flat tensor; raises RunError if they are lost."""
        import torch

        if isinstance(rows, RowMap):
            self._fill_mapped(strip, entry, start, rows)
            return
        if isinstance(entry, MemoryEntry):
            strip.copy_(entry.read(start, start + len(strip)))
            return
        if isinstance(entry, View):
            stored = entry.stored
            fill_view(strip, entry, start, lambda first, end: self.read(stored, first, end))
            return
        buffer = memoryview(strip.view(torch.uint8).numpy().data)
        self._fill_bytes(buffer, entry, start)

    def _fill_mapped(self, strip: Any, entry: Readable, start: int, rows: RowMap) -> None:
        """Read rows by a map, run by run."""
        import torch

        width = entry.spec.numel // max(1, rows.of)
        parts = rows.parts(start, start + len(strip), width)
        if isinstance(entry, MemoryEntry | View):
            for first, last, source in parts:
                found = 0 if source == ABSENT else self.read(entry, source, source + last - first)
                strip[first:last] = found
            return
        size = entry.spec.itemsize
        buffer = memoryview(strip.view(torch.uint8).numpy().data)
        for first, last, source in parts:
            if source == ABSENT:
                strip[first:last] = 0
            else:
                self._fill_bytes(buffer[first * size : last * size], entry, source)

    def _fill_bytes(self, buffer: memoryview, entry: Entry | Spliced, start: int) -> None:
        if isinstance(entry, Spliced):
            size, done = entry.spec.itemsize, 0
            for part, first, count in entry.pieces(start, len(buffer) // size):
                self._fill_bytes(buffer[done : done + count * size], part, first)
                done += count * size
            return
        offset = entry.offset + start * entry.spec.itemsize
        done = 0
        while done < len(buffer):
            count = self._read_into(entry, buffer[done:] if done else buffer, offset + done)
            if count == 0:
                raise ChangedError(
                    f"{entry.path}: ends before its tensors do; did it change meanwhile?"
                )
            done += count

    def _read_into(self, entry: Entry, buffer: memoryview, offset: int) -> int:
        if entry.path in self._streams:
            found = self._streams[entry.path](offset, offset + len(buffer))
            buffer[: len(found)] = found
            return len(found)
        try:
            with self._files.descriptor(entry.path, entry.stamp) as descriptor:
                if hasattr(os, "preadv"):
                    return os.preadv(descriptor, [buffer], offset)
                return self._read_in_turn(descriptor, buffer, offset)
        except OSError as error:
            fact = refusal(error) or f"cannot be read: {error.strerror}"
            raise RunError(f"{entry.path}: {fact}") from error

    def _read_in_turn(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        with self._lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            data = os.read(descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _part(tensor: Any, start: int, stop: int) -> Any:
    """Some entries of a tensor, flat; no others are copied, but those of their rows."""
    if tensor.is_contiguous():
        return tensor.view(-1)[start:stop]
    row = max(1, tensor.numel() // len(tensor))
    first, last = start // row, -(-stop // row)
    inside = slice(start - first * row, stop - first * row)
    if last - first == 1:
        return _part(tensor[first], inside.start, inside.stop)
    return tensor[first:last].reshape(-1)[inside]
