"""Copying side files, each as it was when it was planned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mergegraph.errors import RunError
from mergegraph.files.stamps import Stamp, check

_BLOCK = 2**20


def copy_file(source: Path, target: Path, stamp: Stamp | None) -> None:
    """Copy a file; raises RunError if it cannot be read, or is not what its stamp says.

    Raises OSError if the copy cannot be written.
    """
    with target.open("wb") as taken:
        for data in _blocks(source, stamp):
            taken.write(data)


def _blocks(source: Path, stamp: Stamp | None) -> Iterator[bytes]:
    try:
        with source.open("rb") as file:
            before = Stamp.of(os.fstat(file.fileno()))
            check(source, stamp or before, before)
            while data := file.read(_BLOCK):
                yield data
            check(source, before, Stamp.of(os.fstat(file.fileno())))
    except OSError as error:
        raise RunError(f"{source}: cannot be read: {error.strerror}") from error
