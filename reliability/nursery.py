"""A process that has everything imported, and forks a child for each job it is handed.

A child starts in a hundredth of the time that an interpreter takes; it can be killed like any other
process. Hash seeds are those of the nursery.
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from mergegraph.errors import MergeGraphError, RunError
from reliability.jobs import Job, carry_out, warm_up
from reliability.meter import Meter

FAILED = 70
_PATIENCE = 300  # seconds after which a child is taken to stand still


class Child:
    """A job at work in a process of its own."""

    def __init__(self, pid: int, job: Job) -> None:
        self.pid = pid
        self.job = job
        try:
            self._handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:  # it is at its end already
            self._handle = None

    def kill(self) -> None:
        """End it at once, as nothing can prevent."""
        with suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def ended(self, seconds: float | None = None) -> bool:
        """Wait until it is at its end, or for so long."""
        return self._handle is None or bool(select.select([self._handle], [], [], seconds)[0])

    def status(self) -> int:
        """Its exit status after the end; that of a signal if it never said one."""
        if not self.ended(_PATIENCE):
            signal.pidfd_send_signal(self._handle or 0, signal.SIGUSR1)  # it tells where it stands
            time.sleep(1)
            self.kill()
            self.ended()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        told = Path(self.job.said)
        return int(told.read_text().partition("\n")[0] or 0) if told.exists() else -signal.SIGKILL

    def words(self) -> str:
        """What it said of its failure."""
        told = Path(self.job.said)
        return told.read_text().partition("\n")[2] if told.exists() else ""


class Nursery:
    """A nursery at work, with a hash seed of its own."""

    def __init__(self, hash_seed: int, *, is_warm: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "reliability.nursery", *(["warm"] if is_warm else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
            cwd=Path(__file__).parent.parent,
            text=True,
        )

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def start(self, job: Job) -> Child:
        """Start a job; `job.said` must name a file for its exit status."""
        Path(job.said).unlink(missing_ok=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        return Child(pid, job)


def _serve() -> None:
    """Fork a child for each line."""
    import torch  # noqa: F401

    import mergegraph.plugins

    mergegraph.plugins.installed_plugins()
    if "warm" in sys.argv:
        warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for children: let none linger
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            _live(line)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _live(line: str) -> None:
    """Be a child: do the job, tell the status, end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    status, words = FAILED, ""
    told = {**json.loads(line)}
    job = Job(**{**told, "given": tuple(told["given"])})
    try:
        status, words = _done(job)
    except BaseException as error:  # noqa: BLE001 - told to who waits
        words = f"{type(error).__name__}: {error}"
    finally:
        Path(f"{job.said}.new").write_text(f"{status}\n{words}")
        Path(f"{job.said}.new").rename(job.said)
        os._exit(status)


def _done(job: Job) -> tuple[int, str]:
    try:
        carry_out(job, Meter(Path(job.meter)).add if job.meter else None)
    except MergeGraphError as error:
        return (1 if isinstance(error, RunError) else 2), str(error)
    return 0, ""


if __name__ == "__main__":
    _serve()
