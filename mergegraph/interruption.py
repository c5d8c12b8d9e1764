"""Interruptions: a process that is asked to end ends soon, and says how to go on."""

from __future__ import annotations

import atexit
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Thread
from types import FrameType, TracebackType

STATUS = 130
_NOT_FLUSHED = 120  # as of every Python
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # those that there are here
_SAME = 0.25  # seconds; a signal that comes twice in so short a time was sent once
_SHORT, _LONG = 0.2, 1.0  # seconds that one thing may take which is done before leaving
_FOREVER = 3600.0
_NO_THREAD = "the system refuses a first thread; allow more with ulimit -u, or a limit of the group"

Call = Callable[[], object]


class Interruption:
    """What signals ask of a process, and what it does and says before it leaves.

    A thread that waits for nobody hears them, and ends the process within two seconds, whatever
    the others are at: no instant to be killed at is a bad one. Nothing is raised in the main
    thread, as not all that it may be in the midst of can bear that (C++ that imports a module
    calls abort); it stands still. Signals that are ignored stay so.
    """

    def __init__(self, arguments: Sequence[str] = (), *, continues: bool = False) -> None:
        self.is_heard = False
        self.continues = continues  # whether the same command goes on where this one stopped
        self._arguments = arguments
        self._kept: Callable[[], str] = str
        self._before_telling: list[Call] = []
        self._after_telling: list[Call] = []
        self._status: int | None = None
        self._numbers: tuple[int, ...] = ()
        self._stderr: int | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """What was typed."""
        return ("mergegraph", *self._arguments)

    def keeps(self, kept: Callable[[], str]) -> None:
        """Have it told what is kept of the work, such as `3 of 9 tensors are finished`."""
        self._kept = kept

    def before_telling(self, call: Call) -> None:
        """Have something done before the sentence is written, in an instant."""
        self._before_telling.append(call)

    def after_telling(self, call: Call) -> None:
        """Have something done last, in a second."""
        self._after_telling.append(call)

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
        try:
            Thread(target=self._listen, args=(reading,), name="signals", daemon=True).start()
        except RuntimeError:
            sys.exit(_NO_THREAD)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for each in heard:
            signal.signal(each, self._stand_still)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.is_heard:
            time.sleep(_FOREVER)  # what comes of it is no news
        self._status = _status(error)

    def _stand_still(self, _number: int, _frame: FrameType | None) -> None:
        """What the main thread does at a signal; where it is in C, it goes on for so long."""
        if self._status is None:
            time.sleep(_FOREVER)

    def _listen(self, reading: int) -> None:
        """Wait for signals, which come here even while the main thread is in C."""
        first = None
        while True:
            if os.read(reading, 1)[0] not in self._numbers:
                continue
            if self._status is not None:  # all is done and said
                os._exit(self._status)
            if first is None:
                first = time.monotonic()
                self.is_heard = True
                self._begin_to_leave()
            elif time.monotonic() - first > _SAME:
                os._exit(STATUS)

    def _begin_to_leave(self) -> None:
        try:
            Thread(target=self._leave, name="leaving", daemon=True).start()
        except RuntimeError:  # no thread is to be had
            os._exit(STATUS)

    def _leave(self) -> None:
        for call in self._before_telling:
            _attempt(call, _SHORT)
        _attempt(self._tell, 2 * _SHORT)
        for call in self._after_telling:
            _attempt(call, _LONG / len(self._after_telling))
        os._exit(STATUS)

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
        _attempt(lambda: kept.append(self._kept()), _SHORT)
        told = f", {kept[0]}" if any(kept) else ""
        return f"interrupted{told}; to continue: {_typed(self.command)}"

    def _end(self) -> None:
        """End a process in which all is done: what Python would do yet, no signal is heard in."""
        if self._status is not None:
            os._exit(self._status if _are_flushed() else self._status or _NOT_FLUSHED)


def _attempt(call: Call, seconds: float) -> None:
    """Do something that may fail or take long, and wait for it no longer than that."""
    done = Event()

    def work() -> None:
        with suppress(Exception):
            call()
        done.set()

    with suppress(RuntimeError):  # no thread is to be had
        Thread(target=work, daemon=True).start()
        done.wait(seconds)


def _are_flushed() -> bool:
    """Flush the streams; gives whether that could be done."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return False
    return True


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
