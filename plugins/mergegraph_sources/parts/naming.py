"""What others say of files: names that stay where they are put, sizes that fit into memory."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import Any, TypeGuard

from mergegraph import MergeGraphError

_LARGEST = 2**28  # bytes of what is read as a whole: configs, indexes, tokenizers
_LONGEST, _LONGEST_PART = 1000, 240  # bytes; file systems take 255 of a part, and we add endings
_STEPS = (".", "..")
_NOT_OF_WINDOWS = frozenset(':*?"<>|')  # which has drives, streams and patterns in names
_DEVICES = {"con", "prn", "aux", "nul"} | {
    f"{each}{n}" for each in ("com", "lpt") for n in range(10)
}


def is_plain(name: Any, *, system: str = os.name) -> TypeGuard[str]:
    """Whether a name of a file stays below its folder, and can be written here."""
    if not isinstance(name, str) or not name.isprintable() or "\\" in name:
        return False
    size, parts = len(os.fsencode(name)), name.split("/")
    return (
        0 < size <= _LONGEST
        and PurePosixPath(name).as_posix() == name  # nothing is empty, or a step that leads nowhere
        and all(each not in ("", *_STEPS) for each in parts)
        and all(len(os.fsencode(each)) <= _LONGEST_PART for each in parts)
        and (system != "nt" or all(map(_is_of_windows, parts)))
    )


def _is_of_windows(part: str) -> bool:
    is_device = part.partition(".")[0].rstrip().lower() in _DEVICES
    is_whole = part == part.rstrip(". ")  # what stands there, it drops
    return is_whole and not is_device and not _NOT_OF_WINDOWS.intersection(part)


def whole(label: str, name: str, nbytes: int) -> int:
    """The size of a file that is read as a whole; raises MergeGraphError if it is too large."""
    if nbytes > _LARGEST:
        raise MergeGraphError(f"{label}/{name}: {nbytes} bytes are too many to be read as a whole")
    return nbytes
