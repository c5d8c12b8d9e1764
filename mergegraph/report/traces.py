"""Traces: what threads did and when, added up as it comes, from a run or from a file of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.jsonfiles import parse_json
from mergegraph.trace import Trace

READING, COMPUTING, GATHERING, WRITING, WAITING, COMPILING = range(6)
NAMES = ("reading", "computing", "gathering", "writing", "waiting", "compiling")
_KINDS = {
    "load": READING,
    "merge": GATHERING,
    "conclude": GATHERING,
    "write": WRITING,
    "wait": WAITING,
    "compile": COMPILING,
}
_AROUND = "strip"  # spans that have others in them
_SECOND = 1e6  # microseconds
_MOST = 240  # stretches of time that are told apart
_SHORTEST = 0.001  # seconds of a stretch


def kind_of(name: str) -> int:
    """The kind of work that a span is, by its number."""
    return _KINDS.get(name, COMPUTING)


@dataclass
class _Lane:
    """What one thread did: seconds by name, and by kind in stretches that grow as it goes on."""

    names: dict[str, tuple[float, int]] = field(default_factory=dict)
    step: float = _SHORTEST
    stretches: list[dict[int, float]] = field(default_factory=list)
    end: float = 0.0

    def add(self, name: str, began: float, ended: float) -> None:
        seconds, count = self.names.get(name, (0.0, 0))
        self.names[name] = (seconds + ended - began, count + 1)
        self.end = max(self.end, ended)
        while ended >= _MOST * self.step:
            self.widen()
        kind = kind_of(name)
        for place in range(int(began / self.step), int(ended / self.step) + 1):
            while len(self.stretches) <= place:
                self.stretches.append({})
            inside = min(ended, (place + 1) * self.step) - max(began, place * self.step)
            own = self.stretches[place]
            own[kind] = own.get(kind, 0.0) + max(0.0, inside)

    @property
    def idle(self) -> int:
        """How many stretches there are before the first in which anything was done."""
        marks = (i for i, each in enumerate(self.stretches) if each.keys() - {WAITING})
        return next(marks, len(self.stretches))

    def widen(self) -> None:
        """Make one stretch of every two."""
        self.step *= 2
        pairs = zip(self.stretches[::2], [*self.stretches[1::2], {}], strict=False)
        self.stretches = [
            {kind: a.get(kind, 0.0) + b.get(kind, 0.0) for kind in sorted({*a, *b})}
            for a, b in pairs
        ]


class Tally(Trace):
    """Adds up what threads do as they do it; with spans, too, where a trace is to be written."""

    def __init__(self, *, keeps_spans: bool = False) -> None:
        super().__init__(is_wanted=True)
        self._keeps_spans = keeps_spans
        self._lanes: dict[str, _Lane] = {}

    def add(self, name: str, began: float, ended: float, facts: Mapping[str, Any]) -> None:
        """Note what this thread did."""
        if self._keeps_spans:
            super().add(name, began, ended, facts)
        if name != _AROUND:
            self.count(self.thread(), name, began - self.began, ended - self.began)

    def count(self, thread: str, name: str, began: float, ended: float) -> None:
        """Note what a thread did from one second to another; each thread notes for itself."""
        lane = self._lanes.setdefault(thread, _Lane())
        lane.add(name.lstrip("_"), max(0.0, began), max(0.0, began, ended))

    def work(self) -> Work:
        """What it has come to."""
        lanes = dict(sorted(self._lanes.items()))
        step = max((each.step for each in lanes.values()), default=_SHORTEST)
        for each in lanes.values():
            while each.step < step:
                each.widen()
        idle = min((each.idle for each in lanes.values()), default=0)
        end = max((each.end for each in lanes.values()), default=0.0)
        names = {thread: dict(sorted(each.names.items())) for thread, each in lanes.items()}
        stretches = {thread: tuple(each.stretches[idle:]) for thread, each in lanes.items()}
        return Work(names, stretches, step, end - idle * step)


@dataclass(frozen=True)
class Work:
    """All that was done in a run: by thread the seconds and count of each name, and stretches.

    It begins with what was done first.
    """

    names: Mapping[str, Mapping[str, tuple[float, int]]]
    stretches: Mapping[str, Sequence[Mapping[int, float]]]
    step: float
    seconds: float

    def by_kind(self, thread: str) -> dict[int, float]:
        """The seconds that a thread spent on each kind of work."""
        found = dict.fromkeys(range(len(NAMES)), 0.0)
        for name, (seconds, _) in self.names[thread].items():
            found[kind_of(name)] += seconds
        return found

    def by_name(self) -> list[tuple[str, int, float, int]]:
        """What was done, the longest first: its name, kind, seconds, and how often."""
        found: dict[str, tuple[float, int]] = {}
        for names in self.names.values():
            for name, (seconds, count) in names.items():
                before = found.get(name, (0.0, 0))
                found[name] = (before[0] + seconds, before[1] + count)
        told = [(name, kind_of(name), *both) for name, both in found.items()]
        return sorted(told, key=lambda each: (-each[2], each[0]))


def read_work(path: Path) -> Work:
    """What a file of `run --trace` tells; raises MergeGraphError if it is none."""
    try:
        data = parse_json(path.read_bytes(), str(path))
    except OSError as error:
        raise MergeGraphError(f"--trace {path}: cannot be read: {error.strerror}") from error
    try:
        return _work_of(data["traceEvents"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        fact = "is no trace of a run; name a file that run --trace has written"
        raise MergeGraphError(f"--trace {path}: {fact}") from error


def _work_of(events: Sequence[Mapping[str, Any]]) -> Work:
    threads = {e["tid"]: str(e["args"]["name"]) for e in events if e.get("name") == "thread_name"}
    spans = [each for each in events if each.get("ph") == "X" and each["name"] != _AROUND]
    first = min((float(each["ts"]) for each in spans), default=0.0)
    tally = Tally()
    for each in spans:
        began = (float(each["ts"]) - first) / _SECOND
        lasted = max(0.0, float(each["dur"]) / _SECOND)
        thread = threads.get(each["tid"], f"thread {each['tid']}")
        tally.count(thread, str(each["name"]), began, began + lasted)
    return tally.work()
