"""Stamps: what tells whether a file is still the one it was, with the bytes it had."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mergegraph.errors import ChangedError


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the system says of a file, without its content.

    `touched_ns` cannot be set back by who changes a file. It moves with links, owner and mode, too,
    and says nothing where these differ.
    """

    number: int
    nbytes: int
    changed_ns: int
    touched_ns: int
    others: tuple[int, ...]

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """The stamp of what was looked up."""
        others = (found.st_nlink, found.st_mode, found.st_uid, found.st_gid)
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, others)

    def is_of(self, other: Stamp) -> bool:
        """Whether another stamp is of the same file with the same bytes."""
        if (self.number, self.nbytes, self.changed_ns) != (
            other.number,
            other.nbytes,
            other.changed_ns,
        ):
            return False
        return self.touched_ns == other.touched_ns or self.others != other.others


def stamp_of(path: Path) -> Stamp:
    """The stamp of the file that a path leads to; raises OSError."""
    return Stamp.of(path.stat())


def check(path: Path, stamp: Stamp, found: Stamp) -> None:
    """Raise ChangedError if a file is found to be another than it was."""
    if not stamp.is_of(found):
        raise changed(path)


def changed(path: Path) -> ChangedError:
    """What to tell of a file that is not what it was."""
    return ChangedError(f"{path}: changed while it was read; run again when it is left alone")
