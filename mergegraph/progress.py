"""Progress of a run: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from threading import Lock
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from mergegraph.errors import printable
from mergegraph.machine import resident_memory, sized
from mergegraph.scheduling.schedule import Schedule

_SECONDS_BETWEEN_LINES = 10.0


class Display:
    """Shows bytes, rate, time left and memory while a schedule runs."""

    def __init__(
        self,
        schedule: Schedule,
        *,
        fetch_nbytes: int = 0,
        quiet: bool = False,
        doing: str = "merging",
        writes: bool = True,
    ) -> None:
        self.total = schedule.read_nbytes + schedule.written_nbytes * writes
        self._what = "read {read}, wrote {written}" if writes else "read {read}"
        self._writes = writes
        self.to_fetch, self.have = fetch_nbytes, 0
        self.console = Console(
            stderr=True, quiet=quiet, highlight=False, soft_wrap=True, emoji=False
        )
        self.read = self.written = 0
        self.began = self.told = time.monotonic()
        self._lock = Lock()
        self._bar = self._make_bar() if self.console.is_terminal and not quiet else None
        self._fetching: TaskID | None = None
        self._task = self._bar.add_task(doing, total=self.total, memory="") if self._bar else None

    def __enter__(self) -> Display:
        self.began = self.told = time.monotonic()
        if self._bar is not None and self.total:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hide()
        if kind is None and self.total:
            self._say_line(f"{self._what} in {{seconds:.1f}} s, memory {{memory}}")

    def hide(self) -> None:
        """Take the live line away; it does not come back."""
        if self._bar is not None:
            self._bar.stop()

    def fetched(self, nbytes: int) -> None:
        """Note bytes that came from elsewhere before the run; called from threads."""
        with self._lock:
            if self.to_fetch == 0:
                return
            self.have += nbytes
            if self._bar is not None:
                if self._fetching is None:
                    self._fetching = self._bar.add_task("fetching", total=self.to_fetch, memory="")
                    self._bar.start()
                self._bar.update(self._fetching, completed=self.have)
            elif time.monotonic() - self.told > _SECONDS_BETWEEN_LINES:
                self.told = time.monotonic()
                self._say_fetched("{percent:.0f} %: fetched {have}, {rate}/s, {left:.0f} s left")
            if self.have >= self.to_fetch:
                self._end_fetching()

    def _end_fetching(self) -> None:
        """What is shown from here on is of the run alone."""
        if self._bar is not None and self._fetching is not None:
            self._bar.remove_task(self._fetching)
        self._say_fetched("fetched {have} in {seconds:.1f} s")
        self.to_fetch = 0
        self.began = self.told = time.monotonic()

    def _say_fetched(self, form: str) -> None:
        seconds = max(1e-9, time.monotonic() - self.began)
        have = max(1, self.have)
        self.say(
            form.format(
                percent=100 * have / max(1, self.to_fetch),
                have=sized(self.have),
                seconds=seconds,
                rate=sized(have / seconds),
                left=(self.to_fetch - have) * seconds / have,
            )
        )

    def advance(self, read: int, written: int) -> None:
        """Note bytes read and written; called from worker threads."""
        with self._lock:
            self.read += read
            self.written += written * self._writes
            if self._bar is not None and self._task is not None:
                memory = sized(resident_memory())
                self._bar.update(self._task, completed=self.read + self.written, memory=memory)
            elif time.monotonic() - self.told > _SECONDS_BETWEEN_LINES:
                self.told = time.monotonic()
                self._say_line(
                    f"{{percent:.0f}} %: {self._what}, {{rate}}/s, "
                    "{left:.0f} s left, memory {memory}"
                )

    def say(self, *lines: str) -> None:
        """Print lines, above the live line if there is one."""
        for line in lines:
            self.console.print(printable(line), markup=False)

    def _say_line(self, form: str) -> None:
        seconds = max(1e-9, time.monotonic() - self.began)
        done = max(1, self.read + self.written)
        self.say(
            form.format(
                percent=100 * done / max(1, self.total),
                read=sized(self.read),
                written=sized(self.written),
                seconds=seconds,
                rate=sized(done / seconds),
                left=(self.total - done) * seconds / done,
                memory=sized(resident_memory()),
            )
        )

    def _make_bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("memory {task.fields[memory]}"),
            console=self.console,
            transient=True,
        )


class Counter:
    """Counts bytes of one kind on a live line, if there is a terminal to show it on."""

    def __init__(self, doing: str, total: int, *, quiet: bool = False) -> None:
        self._console = Console(
            stderr=True, quiet=quiet, highlight=False, soft_wrap=True, emoji=False
        )
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._bar.add_task(doing, total=total)

    def __enter__(self) -> Counter:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    def hide(self) -> None:
        """Take the live line away."""
        self._bar.stop()

    def advance(self, nbytes: int) -> None:
        """Note bytes; called from any thread."""
        self._bar.advance(self._task, nbytes)
