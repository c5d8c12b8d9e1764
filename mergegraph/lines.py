"""Files of lines that are never half there: JSON with a checksum each, written by one process.

A last line without an end was cut off when that process was killed, and counts for nothing.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.locking import lock

Line = Mapping[str, Any]


def read_lines(path: Path) -> Iterator[tuple[Line, int]]:
    """The whole lines of a file from its first on, each with where the next one goes.

    There are none of a file that is not there; raises MergeGraphError if it cannot be read.
    """
    nbytes = 0
    for text in _texts(path):
        line = _parsed(text)
        if line is None:
            return
        nbytes += len(text)
        yield line, nbytes


def damage_of(path: Path) -> int:
    """The number of the first line that is damaged, and not what a kill leaves; 0 if none is."""
    texts = _texts(path)
    for number, text in enumerate(texts, 1):
        if _parsed(text) is None:
            is_cut = number == len(texts) and not text.endswith(b"\n")
            return 0 if is_cut else number
    return 0


def _texts(path: Path) -> list[bytes]:
    """The lines of a file as they are."""
    try:
        data = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise MergeGraphError(f"{path}: cannot be read: {error.strerror}") from error
    return data.splitlines(keepends=True)


def is_taken(path: Path) -> bool:
    """Whether a process writes to a file of lines."""
    try:
        with path.open("r+b") as file:
            return not lock(file)
    except OSError:
        return False


class Lines:
    """A file of lines that this process alone writes to, from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._file: Any = None

    def open(self) -> bool:
        """Open the file, made if it is not there; whether no other process writes to it."""
        self._file = self.path.open("a+b", buffering=0)
        if not lock(self._file):
            self.close()
            return False
        return True

    @property
    def is_open(self) -> bool:
        """Whether this process has it."""
        return self._file is not None

    @property
    def is_in_place(self) -> bool:
        """Whether what was opened is still what the path names."""
        mine = os.fstat(self._file.fileno())
        return self.path.exists() and os.path.samestat(mine, self.path.stat())

    def cut(self, nbytes: int) -> None:
        """Leave out what follows so many bytes."""
        self._file.truncate(nbytes)

    def write(self, line: Line) -> None:
        """Write one line."""
        with self._lock:
            text = json.dumps(line).encode()
            data = memoryview(b"%s %s\n" % (_checksum(text), text))
            while data:
                data = data[self._file.write(data) :]

    def close(self) -> None:
        """Close the file, and let others have it."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _parsed(text: bytes) -> Line | None:
    """What a line tells; None if it is not whole."""
    checksum, _, line = text.partition(b" ")
    if not text.endswith(b"\n") or checksum != _checksum(line[:-1]):
        return None
    try:
        found: Line = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found


def _checksum(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)
