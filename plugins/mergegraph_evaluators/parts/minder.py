"""Runs a program, and ends it with all that it started once standard input is closed.

Whoever started this has the other end, which is closed however that ends, also by being killed.
What the program leaves behind when it ends is ended, too. It is called with the program's words.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

_PATIENCE = 3.0  # seconds that a program has to end in when it is asked to
_PR_SET_CHILD_SUBREAPER = 36
_ROUNDS = 100  # that are made after programs which go on starting others


def _adopt() -> None:
    """Become the parent of all that a program leaves behind, where the system has such a thing."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end(program: "subprocess.Popen[bytes]") -> None:
    if os.name != "posix":
        program.kill()
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(OSError, subprocess.TimeoutExpired):
            os.killpg(program.pid, number)
            program.wait(_PATIENCE)
    _sweep()


def _sweep() -> None:
    """End what has left the group of the program; the children of what is ended come next."""
    for _ in range(_ROUNDS):
        left = list(_children()) if sys.platform == "linux" else []
        if not left:
            return
        for each in left:
            with suppress(OSError):
                os.kill(each, signal.SIGKILL)
                os.waitpid(each, 0)


def _children() -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            if int(path.read_text(errors="replace").rpartition(")")[2].split()[1]) == os.getpid():
                yield int(path.parent.name)


def _mind(program: "subprocess.Popen[bytes]") -> None:
    sys.stdin.buffer.read()
    _end(program)
    os._exit(1)


if __name__ == "__main__":
    _adopt()
    started = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - what the user asks for
    Thread(target=_mind, args=(started,), daemon=True).start()
    status = started.wait()
    _end(started)
    sys.stdout.flush()
    os._exit(status if status >= 0 else 128 - status)
