"""What is done to a process before it runs, where a failing call is not what is to be tried."""

from __future__ import annotations

import os
import signal
import threading
import time


def clock_back_and_forth(boundary) -> None:
    """Every clock jumps by years, back and forth."""
    _jumping(boundary, lambda number: 10**8 * (-1) ** number)


def clock_stands(boundary) -> None:
    """Every clock stands still."""
    for name in ("time", "monotonic", "perf_counter"):
        setattr(time, name, lambda: 0.0)
    boundary.fired["clock"] += 1


def _jumping(boundary, by) -> None:
    calls = [0]

    def jump(plain):
        def call():
            calls[0] += 1
            boundary.fired["clock"] += 1
            return plain() + by(calls[0])

        return call

    for name in ("time", "monotonic", "perf_counter"):
        setattr(time, name, jump(getattr(time, name)))


def signals_all_the_time(boundary) -> None:
    """A signal that does nothing comes a thousand times a second: calls are interrupted."""

    def heard(*_):
        boundary.fired["signal"] += 1

    signal.signal(signal.SIGALRM, heard)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)


def no_threads(boundary) -> None:
    """The system has no more threads to give."""
    _threads(boundary, 0)


def two_threads(boundary) -> None:
    """The system has two threads to give, and no more."""
    _threads(boundary, 2)


def _threads(boundary, most) -> None:
    plain, begun = threading.Thread.start, []

    def start(thread):
        if len(begun) >= most:
            boundary.fired["thread"] += 1
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        plain(thread)

    threading.Thread.start = start


def no_direct_writing(boundary) -> None:
    """The system knows of no way past the page cache."""
    del os.O_DIRECT
    boundary.fired["no direct"] += 1


def memory_refused(boundary) -> None:
    """From the third tensor on, memory is refused, as torch does it."""
    _refusing(boundary, 3)


def memory_refused_late(boundary) -> None:
    """Memory is refused when most is done."""
    _refusing(boundary, 25)


def _refusing(boundary, first) -> None:
    import torch

    plain, calls = torch.empty, [0]

    def empty(*given, **more):
        calls[0] += 1
        if calls[0] >= first:
            boundary.fired["memory"] += 1
            return plain(2**58, dtype=torch.uint8)
        return plain(*given, **more)

    torch.empty = empty


def failing_compiler(boundary) -> None:
    """Compiling fails, as it does where memory is scarce."""
    from mergegraph import loops, pipeline, settings

    def compiled(*_given):
        boundary.fired["compiler"] += 1
        raise MemoryError

    loops.compiled = compiled
    pipeline._WORTH_COMPILING = settings._LARGE = 0
