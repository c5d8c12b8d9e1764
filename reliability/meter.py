"""A meter of bytes read and computed, in a file that outlives the process that is metered."""

from __future__ import annotations

import struct
from mmap import mmap
from pathlib import Path
from threading import Lock

_TWO = struct.Struct("<qq")


class Meter:
    """Counts on from what a file holds; a killed process leaves what it had counted."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.with_suffix(".new").write_bytes(_TWO.pack(0, 0))
            path.with_suffix(".new").rename(path)
        with path.open("r+b") as file:
            self._memory = mmap(file.fileno(), _TWO.size)
        self._lock = Lock()

    def add(self, read: int, written: int) -> None:
        """Count bytes."""
        with self._lock:
            known = _TWO.unpack_from(self._memory)
            _TWO.pack_into(self._memory, 0, known[0] + read, known[1] + written)


def counted(path: Path) -> tuple[int, int]:
    """The bytes read, and those computed for outputs."""
    read, written = _TWO.unpack(path.read_bytes())
    return read, written
