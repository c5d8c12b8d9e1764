"""Programs that are started and waited for, and that never outlive who waits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from mergegraph import MergeGraphError

MOST = 2**20  # bytes of what a program says that are read, from the end
_MINDER = Path(__file__).with_name("minder.py")


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it wrote, or the last lines of that if it is much."""

    status: int
    output: str
    errors: str
    is_cut: bool


def carried_out(words: Sequence[str], *, seconds: float) -> Ended:
    """Run a program; raises MergeGraphError if it takes longer.

    It has the environment and the folder of this process, and nothing to read. However this ends,
    it is ended, too, with all programs that it started.
    """
    with TemporaryFile() as output, TemporaryFile() as errors:
        minder = subprocess.Popen(  # noqa: S603 - what the user asks for
            [sys.executable, "-I", "-S", str(_MINDER), *words],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        try:
            status = minder.wait(seconds)
        except subprocess.TimeoutExpired as error:
            told = f"took longer than {seconds:g} seconds; allow more with timeout="
            raise MergeGraphError(told) from error
        finally:
            assert minder.stdin is not None, "it was asked for"
            minder.stdin.close()
            minder.wait()
        is_cut = output.seek(0, 2) > MOST
        return Ended(status, _end_of(output), _end_of(errors), is_cut)


def _end_of(file: IO[bytes]) -> str:
    """What a file holds; of more than is read, the lines that are whole."""
    nbytes = file.seek(0, 2)
    file.seek(max(0, nbytes - MOST - 1))
    found = file.read()
    if nbytes > MOST:
        found = found.partition(b"\n")[2]
    return found.decode("utf-8", "replace")
