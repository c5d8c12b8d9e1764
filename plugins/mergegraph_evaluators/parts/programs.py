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

_MOST = 2**20  # bytes of what a program says that are read, from the end
_MINDER = Path(__file__).with_name("minder.py")


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it wrote."""

    status: int
    output: str
    errors: str


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
        return Ended(status, _end_of(output), _end_of(errors))


def _end_of(file: IO[bytes]) -> str:
    nbytes = file.seek(0, 2)
    file.seek(max(0, nbytes - _MOST))
    return file.read().decode("utf-8", "replace")
