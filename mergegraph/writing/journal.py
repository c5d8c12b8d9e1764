"""The journal of an unfinished result: what it belongs to, and which tensors are whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from mergegraph.errors import MergeGraphError

try:
    import fcntl
except ImportError:  # Windows: two runs on one output are not told apart
    fcntl = None  # type: ignore[assignment]

JOURNAL = "mergegraph.journal"


def read_journal(folder: Path, bond: str) -> dict[str, str] | None:
    """The SHA-256 of each finished tensor; None if the work belongs to another plan."""
    path = folder / JOURNAL
    lines = _whole_lines(path.read_bytes())[0] if path.is_file() else []
    if lines and lines[0] != {"bond": bond}:
        return None
    return {line["tensor"]: line["sha256"] for line in lines[1:]}


class Journal:
    """A journal being written. It is locked: one run at a time works on a result."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL
        self._lock = Lock()
        self._file: Any = None

    def open(self) -> None:
        """Open the journal for this run alone; raises MergeGraphError if another has it."""
        self._file = self._path.open("a+b", buffering=0)
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self.close()
                fact = "another run is at work on it; wait for that, or choose another --out"
                raise MergeGraphError(f"{self._path.parent}: {fact}") from error

    def begin(self, bond: str) -> None:
        """Start from nothing."""
        self._file.truncate(0)
        self._write({"bond": bond})

    def go_on(self) -> None:
        """Write after the last whole line: the one after it was cut off when a run was killed."""
        self._file.seek(0)
        self._file.truncate(_whole_lines(self._file.read())[1])

    def note(self, tensor: str, digest: str) -> None:
        """Note that a tensor is whole."""
        with self._lock:
            self._write({"tensor": tensor, "sha256": digest})

    def close(self) -> None:
        """Close the journal, and let others have it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, line: Mapping[str, str]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()


def _whole_lines(data: bytes) -> tuple[list[dict[str, str]], int]:
    """The lines up to the first that is broken, and the bytes they take."""
    lines = []
    nbytes = 0
    for line in data.splitlines(keepends=True):
        try:
            found = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n") or not isinstance(found, dict):
            break
        lines.append(found)
        nbytes += len(line)
    return lines, nbytes
