"""The floor: how long it takes to read files once, and to write a new one.

Run by its path, as a process of its own, so that nothing else shares its memory; the time is taken
inside, so that no interpreter's start is part of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter, process_time

BLOCK = 2**20


def read(path: Path, buffer: bytearray) -> int:
    """Read a file from end to end into one buffer; gives its bytes."""
    nbytes = 0
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            nbytes += count
    return nbytes


def write(path: Path, nbytes: int, buffer: bytearray) -> None:
    """Write a new file of so many bytes, block by block."""
    view = memoryview(buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb", buffering=0) as file:
        while nbytes:
            nbytes -= file.write(view[: min(nbytes, len(view))])


def floor(out: Path, like: Path, inputs: Iterable[Path]) -> dict[str, float]:
    """Read the inputs, then write as many bytes as `like` has; gives wall and CPU seconds."""
    nbytes = like.stat().st_size
    buffer = bytearray(BLOCK)
    wall, cpu = perf_counter(), process_time()
    for path in inputs:
        read(path, buffer)
    write(out, nbytes, buffer)
    return {"wall": perf_counter() - wall, "cpu": process_time() - cpu}


if __name__ == "__main__":
    out, like, *inputs = map(Path, sys.argv[1:])
    print(json.dumps(floor(out, like, inputs)))
