"""Runs a program, and ends it with all that it started once standard input is closed.

Whoever started this has the other end, which is closed however that ends, also by being killed.
It is called with the words of the program.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from threading import Thread

_PATIENCE = 3.0  # seconds that a program has to end in when it is asked to


def _end(program: "subprocess.Popen[bytes]") -> None:
    if os.name != "posix":
        program.kill()
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(OSError, subprocess.TimeoutExpired):
            os.killpg(program.pid, number)
            program.wait(_PATIENCE)


def _mind(program: "subprocess.Popen[bytes]") -> None:
    sys.stdin.buffer.read()
    _end(program)
    os._exit(1)


if __name__ == "__main__":
    started = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - what the user asks for
    Thread(target=_mind, args=(started,), daemon=True).start()
    status = started.wait()
    sys.stdout.flush()
    os._exit(status if status >= 0 else 128 - status)
