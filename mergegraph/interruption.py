"""Interruptions: a process that is asked to end ends soon, and says how to go on."""

from __future__ import annotations

import atexit
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Lock, Thread
from types import FrameType, TracebackType
from typing import NoReturn

STATUS = 130
_NOT_FLUSHED = 120  # as of every Python
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # those that there are here
_GRACE = 1.0  # seconds to end in; whoever asked waits two
_SAME = 0.25  # seconds; a signal that comes twice in so short a time was sent once
_SHORT = 0.3  # seconds that one thing may take which is done before leaving


class Interruption:
    """What signals ask of a process, and what it does and says before it leaves.

    The first raises KeyboardInterrupt in the main thread. If that has not ended all a second later,
    as where a kernel is waited for, a thread that waits for nobody leaves: no instant to be killed
    at is a bad one. A second signal leaves at once. Signals that are ignored stay so.
    """

    def __init__(self, arguments: Sequence[str] = (), *, continues: bool = False) -> None:
        self.is_heard = False
        self.continues = continues  # whether the same command goes on where this one stopped
        self._arguments = arguments
        self._kept: Callable[[], str] = str
        self._before_leaving: list[Callable[[], object]] = []
        self._status: int | None = None
        self._leaving = Lock()
        self._numbers: tuple[int, ...] = ()
        self._stderr: int | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """What was typed."""
        return ("mergegraph", *self._arguments)

    def keeps(self, kept: Callable[[], str]) -> None:
        """Have it told what is kept of the work, such as `3 of 9 tensors are finished`."""
        self._kept = kept

    def before_leaving(self, call: Callable[[], object]) -> None:
        """Have something short done if the process leaves while others are at work."""
        self._before_leaving.append(call)

    def __enter__(self) -> Interruption:
        """Hear signals from here on to the end of the process."""
        # by then it may be another stream; and where it is closed, its number is another file's
        self._stderr = None if sys.stderr is None else sys.stderr.fileno()
        there = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        heard = [each for each in there if signal.getsignal(each) is not signal.SIG_IGN]
        self._numbers = tuple(map(int, heard))
        atexit.register(self._end)  # the first that is registered comes last
        reading, writing = os.pipe()
        if os.name == "posix":
            os.set_blocking(writing, False)
            os.register_at_fork(after_in_child=lambda: _forget(heard))
        Thread(target=self._watch, args=(reading,), name="signals", daemon=True).start()
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for each in heard:
            signal.signal(each, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status = _status(error)
        if self.is_heard and status != 0:
            self.leave()
        self._status = status

    def leave(self) -> NoReturn:
        """Say that this was interrupted, and end the process whatever others are at."""
        if not self._leaving.acquire(blocking=False):
            time.sleep(60)  # another thread is leaving, and ends this one, too
        for call in self._before_leaving:
            _attempt(call)
        _attempt(self._tell)
        os._exit(STATUS)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        """What the main thread does at a signal."""
        if self._status is not None:  # all is done and said
            os._exit(self._status)
        if not self.is_heard:
            self.is_heard = True
            sys.excepthook = lambda *_: self.leave()
            # what is interrupted in a place where it cannot be raised is no news
            sys.unraisablehook = lambda _: None
            threading.excepthook = lambda _: None
            raise KeyboardInterrupt

    def _end(self) -> None:
        """End a process in which all is done: what Python would do yet, no signal is heard in."""
        if self._status is not None:
            os._exit(self._status if _are_flushed() else self._status or _NOT_FLUSHED)

    def _watch(self, reading: int) -> None:
        """Wait for signals, which come here even while the main thread is in a kernel."""
        first = None
        while True:
            if os.read(reading, 1)[0] not in self._numbers:
                continue
            if first is None:
                first = time.monotonic()
                Thread(target=self._insist, name="leaving", daemon=True).start()
            elif time.monotonic() - first > _SAME:
                self._leave_as_is()

    def _insist(self) -> None:
        time.sleep(_GRACE)
        self._leave_as_is()

    def _leave_as_is(self) -> NoReturn:
        if self._status is not None:
            os._exit(self._status)
        self.leave()

    def _tell(self) -> None:
        """Write the sentence, straight to where errors go."""
        if self._stderr is None:
            return
        is_live = os.isatty(self._stderr) and os.environ.get("TERM") != "dumb"
        # over the ^C of the terminal, and with the cursor that a live line may have hidden
        line = ("\r\x1b[K\x1b[?25h" if is_live else "") + self._sentence() + "\n"
        os.write(self._stderr, line.encode("utf-8", "surrogateescape"))

    def _sentence(self) -> str:
        if not self.continues:
            return "interrupted"
        kept: list[str] = []
        _attempt(lambda: kept.append(self._kept()), seconds=_SHORT / 2)
        told = f", {kept[0]}" if any(kept) else ""
        return f"interrupted{told}; to continue: {_typed(self.command)}"


def _are_flushed() -> bool:
    """Flush the streams; gives whether that could be done."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return False
    return True


def _attempt(call: Callable[[], object], *, seconds: float = _SHORT) -> None:
    """Do something that may fail or take long, and wait for it no longer than that."""
    done = Event()

    def work() -> None:
        with suppress(Exception):
            call()
        done.set()

    with suppress(RuntimeError):  # no thread is to be had
        Thread(target=work, daemon=True).start()
        done.wait(seconds)


def _forget(heard: Sequence[int]) -> None:
    """In a process that a plugin forks, let signals be what they were before."""
    signal.set_wakeup_fd(-1)
    for each in heard:
        signal.signal(each, signal.SIG_DFL)
    if signal.SIGINT in heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _status(error: BaseException | None) -> int:
    """The status that the process would end with by itself."""
    if not isinstance(error, SystemExit):
        return 0 if error is None else 1
    return error.code if isinstance(error.code, int) else int(error.code is not None)


def _typed(arguments: Sequence[str]) -> str:
    """The command as one would type it."""
    if os.name == "posix":
        return shlex.join(arguments)
    from subprocess import list2cmdline

    return list2cmdline(arguments)
