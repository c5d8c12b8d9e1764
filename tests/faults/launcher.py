"""Runs the command line in child processes, with faults between it and the operating system.

Reads a job a line, as JSON, and answers each with a line, what came of it:

    {"arguments": ["run", "r.yaml", "--out", "out"], "folder": "/where/it/runs", "faults": [...]}

A job may have `limits` (`{"RLIMIT_FSIZE": 100000}`; of RLIMIT_AS what is allowed above what the
process has), `setup` (a function of `setups`) and `seconds` that it may take. Torch is loaded once,
and each job is a fork: that makes hundreds of faults a minute.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import setups
from boundary import Boundary

_PAUSE = 0.005


def serve() -> None:
    """Do jobs until there are no more."""
    _load()
    _answer("ready")
    for line in sys.stdin:
        _answer(json.dumps(_done(json.loads(line))))


def _answer(text) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _load() -> None:
    """Import what a run needs, so that its children have it."""
    import numpy  # noqa: F401, ICN001
    import torch  # noqa: F401

    from mergegraph import cli, pipeline, progress  # noqa: F401
    from mergegraph.plugins import installed_plugins

    installed_plugins()
    gc.collect()
    gc.freeze()  # what children do not touch need not be copied


def _done(job):
    """What comes of a job: exit code, what was told, the calls that were counted, and faults."""
    folder = Path(job["folder"])
    told, report = folder / ".told", folder / ".report"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(job, told, report)
    code = _waited(child, began + job.get("seconds", 60))
    found = json.loads(report.read_text()) if report.exists() else {}
    seconds = time.monotonic() - began
    return {"code": code, "told": told.read_text(errors="replace"), "seconds": seconds, **found}


def _waited(child, until):
    """The exit code of a child; -signal if one ended it, and None if it had to be ended."""
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_PAUSE)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _become(job, told, report) -> None:
    """Be the command line, with faults; ends the process."""
    os.chdir(job["folder"])
    out = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(out, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    boundary = Boundary(job["folder"], job.get("faults", ()))
    boundary.install()
    for name, value in job.get("limits", {}).items():
        most = value + (_size() if name == "RLIMIT_AS" else 0)
        kind = getattr(resource, name)
        resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
    if "setup" in job:
        getattr(setups, job["setup"])(boundary)
    code = _run(job["arguments"])
    threading._shutdown()  # as at the end of a process: threads that are no daemons are waited for
    counted = {"fired": dict(boundary.fired), "counts": dict(boundary.counts)}
    out = boundary.plain["open"](report, os.O_WRONLY | os.O_CREAT)
    boundary.plain["write"](out, json.dumps(counted).encode())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # to take torch apart takes longer than the run


def _run(arguments) -> int:
    """The exit status of the command line; of what it does not catch, a traceback and 1."""
    from mergegraph.cli import main

    try:
        main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - what a shell would see
        traceback.print_exc()
        return 1
    return 0


def _size():
    """The bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    serve()
