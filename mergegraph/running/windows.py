"""Windows: far files read ahead in pieces of some mebibytes, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Condition, Thread

from mergegraph.files.reading import Stream
from mergegraph.tasks import Task

_REQUESTS = 8  # in flight together, if there is room for what their threads hold
_NBYTES_OF_REQUEST = 2**22
_SMALLEST, _LARGEST = 2**19, 2**24  # bytes of a window
_LONGEST_NBYTES = 2**28
_BEHIND = 64  # windows that a reader may be behind another
_END = 2**62


@dataclass(frozen=True, slots=True)
class Window:
    """A range of a file that is read by one request."""

    path: Path
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        """How long it is."""
        return self.stop - self.start


def windows_nbytes(budget: int) -> int:
    """What windows may have of a memory budget."""
    return min(_LONGEST_NBYTES, budget // 4)


def window_nbytes(nbytes: int, abreast: int) -> int:
    """The size of a window where tensors of so many files are read abreast."""
    return min(_LARGEST, max(_SMALLEST, nbytes // (6 * max(1, abreast))))


def windows_in_order(passes: Iterable[Sequence[Task]], size: int) -> list[Window]:
    """Windows as they are wanted, given the loads of each pass in turn."""
    turns = [[span for task in loads for span in _spans(task)] for loads in passes]
    wanted: dict[Path, set[tuple[int, int]]] = {}
    for path, start, stop in (each for loads in turns for each in loads):
        wanted.setdefault(path, set()).add((start, stop))
    cut = {path: _cut(path, sorted(spans), size) for path, spans in wanted.items()}
    starts = {path: [w.start for w in windows] for path, windows in cut.items()}
    order: list[Window] = []
    for loads in turns:
        rows = [_between(cut[path], starts[path], first, last) for path, first, last in loads]
        order += _abreast(rows)
    return order


def _abreast(rows: Sequence[Sequence[Window]]) -> list[Window]:
    """Windows of several tensors as they are wanted while all are read side by side."""
    turns = sorted((i / len(row), n, i) for n, row in enumerate(rows) for i in range(len(row)))
    return [rows[n][i] for _, n, i in turns]


def _spans(load: Task) -> Iterator[tuple[Path, int, int]]:
    """What a load reads of files: of rows by a map, that of which they may be any."""
    entry, rows = load.numbers["entry"], load.numbers["rows"]
    first = load.spec.nbytes if isinstance(rows, int) else entry.spec.nbytes
    for part in entry.parts:
        yield part.path, part.offset, part.offset + min(first, part.spec.nbytes)


def _cut(path: Path, spans: Sequence[tuple[int, int]], size: int) -> list[Window]:
    """Large tensors in pieces; small ones side by side together."""
    found: list[Window] = []
    is_open = False
    for start, stop in spans:
        last = found[-1] if is_open else None
        if last and stop - last.start <= size and start <= last.stop:
            found[-1] = Window(path, last.start, max(last.stop, stop))
            continue
        start = max(start, found[-1].stop) if found else start  # noqa: PLW2901 - spans may overlap
        pieces = range(start, stop, size)
        found += [Window(path, at, min(at + size, stop)) for at in pieces]
        is_open = len(pieces) == 1
    return found


def _between(
    windows: Sequence[Window], starts: Sequence[int], first: int, last: int
) -> Sequence[Window]:
    return windows[max(0, bisect_right(starts, first) - 1) : bisect_left(starts, last)]


class Windows:
    """Reads files through their streams, window by window, those that are wanted next ahead."""

    def __init__(
        self, streams: Mapping[Path, Stream], order: Sequence[Window], nbytes: int
    ) -> None:
        self._streams = streams
        self._nbytes = nbytes
        self._requests = max(2, min(_REQUESTS, nbytes // _NBYTES_OF_REQUEST))
        self._line = _Line(order)
        self._of: dict[Path, list[Window]] = {}
        for window in sorted(set(order), key=lambda each: each.start):
            self._of.setdefault(window.path, []).append(window)
        self._starts = {path: [w.start for w in each] for path, each in self._of.items()}
        self._found: dict[Window, bytes | BaseException | None] = {}  # None: on its way
        self._awaited: dict[Window, int] = defaultdict(int)
        self._change = Condition()
        self._asked: SimpleQueue[Window | None] = SimpleQueue()

    @property
    def streams(self) -> Mapping[Path, Stream]:
        """What reads each file, in place of the streams given."""
        return {path: partial(self.read, path) for path in self._streams}

    def __enter__(self) -> Windows:
        for number in range(self._requests):
            Thread(target=self._work, name=f"window {number + 1}", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._line.end()
            while not self._asked.empty():
                self._asked.get()
        for _worker in range(self._requests):
            self._asked.put(None)

    def read(self, path: Path, start: int, stop: int) -> bytes:
        """The bytes of a file from start to stop."""
        windows = _between(self._of.get(path, ()), self._starts.get(path, ()), start, stop)
        found = b"".join(self._part(w, max(start, w.start), min(stop, w.stop)) for w in windows)
        # what no window was cut for is read alone
        return found if len(found) == stop - start else self._streams[path](start, stop)

    def _part(self, window: Window, start: int, stop: int) -> memoryview:
        found = self._window(window, max(0, stop - start))
        return memoryview(found)[start - window.start : max(start, stop) - window.start]

    def _window(self, window: Window, nbytes: int) -> bytes:
        """A window, of which so many bytes are read now."""
        with self._change:
            self._awaited[window] += 1
            try:
                while not self._ask(window, must=True):
                    self._change.wait()
                if self._line.advance(window, nbytes):
                    self._look_ahead()
                while (found := self._found[window]) is None:
                    self._change.wait()
            finally:
                self._awaited[window] -= 1
                self._change.notify_all()
        if isinstance(found, BaseException):
            raise found
        return found

    def _look_ahead(self) -> None:
        """Ask for what is wanted next, as far as there is room."""
        on_the_way = sum(1 for found in self._found.values() if found is None)
        for window in self._line.ahead():
            if on_the_way >= 2 * self._requests or not self._ask(window):
                return
            on_the_way += 1
            self._line.asked += 1

    def _ask(self, window: Window, *, must: bool = False) -> bool:
        """Have a window read, if there is room or may be made; what is awaited stays."""
        if window in self._found:
            return True
        wanted = self._line.next(window)
        while self._found and self._held() + 2 * window.nbytes > self._nbytes:
            spare = [w for w, found in self._found.items() if found and not self._awaited[w]]
            # what is wanted farthest ahead is what we regret losing least
            victim = max(spare, key=self._line.next, default=None)
            if victim is None or (self._line.next(victim) <= wanted and not must):
                return False
            del self._found[victim]
        self._found[window] = None
        self._asked.put(window)
        return True

    def _held(self) -> int:
        """Bytes in memory; what is on its way is there twice when it comes."""
        return sum(w.nbytes * (1 if found else 2) for w, found in self._found.items())

    def _work(self) -> None:
        while (window := self._asked.get()) is not None:
            found: bytes | BaseException
            try:
                found = self._streams[window.path](window.start, window.stop)
            except BaseException as error:  # noqa: BLE001 - raised again by who reads the window
                found = error
            with self._change:
                self._found[window] = found
                self._look_ahead()
                self._change.notify_all()


class _Line:
    """Windows in the order they are wanted, and how far the readers are in it."""

    def __init__(self, order: Sequence[Window]) -> None:
        self._order = order
        self._places: dict[Window, list[int]] = {}
        for place, window in enumerate(order):
            self._places.setdefault(window, []).append(place)
        self._read: dict[Window, int] = defaultdict(int)  # bytes, over all turns of a window
        self._at = 0
        self._astray = 0
        self.asked = 0  # the place up to which windows were asked for

    def next(self, window: Window) -> int:
        """The place where a window is wanted next: where it is not read to its end."""
        places = self._places[window]
        turn = max(self._read[window] // window.nbytes, bisect_left(places, self._at - _BEHIND))
        return places[turn] if turn < len(places) else _END

    def advance(self, window: Window, nbytes: int) -> bool:
        """Note that bytes of a window are read; whether that is farther than any before."""
        place = self.next(window)
        self._read[window] += nbytes
        if place <= self._at or place == _END:
            return False
        # who reads something twice may name a window that only a later pass wants again
        self._astray += 1
        if place > self._at + _BEHIND and self._astray < _BEHIND:
            return False
        self._at, self._astray = place, 0
        return True

    def ahead(self) -> Iterator[Window]:
        """What is wanted next and was not asked for."""
        self.asked = max(self.asked, self._at + 1)
        for place in range(self.asked, len(self._order)):
            yield self._order[place]

    def end(self) -> None:
        """Let nothing be wanted any more."""
        self._at = self.asked = _END
