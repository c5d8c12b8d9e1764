"""Files open for reading, a few at a time: a system allows fewer than models may have shards."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from mergegraph.files.stamps import Stamp, check
from mergegraph.machine import files_at_once


@dataclass
class _Opened:
    """A descriptor, and how many are reading by it."""

    descriptor: int
    readers: int = 0


class OpenFiles:
    """Files opened when they are read, those read last kept open; each must stay the file it was.

    Which that is, a stamp says from when it was planned, or else the first look at it.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most or files_at_once()
        self._files: OrderedDict[Path, _Opened] = OrderedDict()
        self._stamps: dict[Path, Stamp] = {}
        self._lock = Lock()

    @contextmanager
    def descriptor(self, path: Path, stamp: Stamp | None = None) -> Iterator[int]:
        """What to read a file by, open at least as long as the block; raises OSError."""
        with self._lock:
            opened = self._files.get(path) or self._open(path, stamp)
            self._files.move_to_end(path)
            opened.readers += 1
        try:
            yield opened.descriptor
        finally:
            with self._lock:
                opened.readers -= 1

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            for opened in self._files.values():
                os.close(opened.descriptor)
            self._files.clear()

    def _open(self, path: Path, stamp: Stamp | None) -> _Opened:
        """Open a file; raises ChangedError if it is not the one that is meant."""
        self._make_room()
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            found = Stamp.of(os.fstat(descriptor))
            check(path, self._stamps.setdefault(path, stamp or found), found)
        except BaseException:
            os.close(descriptor)
            raise
        self._files[path] = _Opened(descriptor)
        return self._files[path]

    def _make_room(self) -> None:
        """Close those that were read longest ago, and are not being read."""
        idle = [path for path, opened in self._files.items() if not opened.readers]
        for path in idle[: max(0, len(self._files) + 1 - self._most)]:
            os.close(self._files.pop(path).descriptor)
