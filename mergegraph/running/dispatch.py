"""Handing out strips to workers in order, and putting what they give back into order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Condition
from typing import Any

from mergegraph.running.milestones import Course, Courses, Milestone
from mergegraph.running.store import Store
from mergegraph.scheduling.forms import WINDOW
from mergegraph.scheduling.schedule import Pass, Schedule, Unit
from mergegraph.tasks import Task

Results = Mapping[str, Any]  # of one strip: a fold's partials, an output's entries, by task key


class StoppedError(Exception):
    """Raised in a worker that waits while the run is stopped; nobody needs to be told."""


@dataclass
class Running:
    """A unit at work: the pass it is in, how far that is, and what it has come to."""

    unit: Unit
    number: int
    at: int = -1
    strips: list[tuple[int, int]] = field(default_factory=list)
    handed: int = 0
    merged: int = 0
    waiting: dict[int, Results] = field(default_factory=dict)
    is_merging: bool = False
    partials: dict[str, Any] = field(default_factory=dict)
    digests: dict[int, Any] = field(default_factory=dict)
    scans: dict[str, dict[int, Any]] = field(default_factory=dict)
    programs: tuple[Any, ...] | None = None
    course: Course = field(default_factory=Course)

    @property
    def part(self) -> Pass:
        """The pass that is at work."""
        return self.unit.passes[self.at]

    def enter(self, course: Course) -> None:
        """Begin the next pass, where its course says."""
        self.course = course
        self.strips = self.part.grid.strips(course.entries)
        self.handed = self.merged = 0
        self.is_merging = False
        self.programs = None
        scans = {task.key for task in self.part.steps if task.is_scan}
        state = dict(course.state)
        self.scans = {key: {0: state.pop(key)} for key in scans & state.keys()}
        self.partials, self.digests = state, dict(course.digests)

    def milestone(self) -> Milestone | None:
        """How far the pass is after the next strip to be merged, if it is time to note that."""
        entries = self.strips[self.merged][1]
        if not self.course.is_due(entries) or self.merged + 1 == len(self.strips):
            return None
        scans = {key: scan[self.merged + 1] for key, scan in self.scans.items()}
        return self.course.milestone(entries, {**self.partials, **scans}, self.digests)

    def merge(self, results: Results) -> None:
        """Take in the next strip: folds are merged with those before, outputs hashed."""
        for task in self.part.folds:
            for value in results[task.key]:
                known = self.partials.get(task.key)
                self.partials[task.key] = value if known is None else task.op.combine(known, value)
        for key, numbers in self.part.writes.items():
            for number in numbers:
                self.digests.setdefault(number, sha256()).update(bytes_of(results[key]))


class Dispatcher:
    """Which strip is next, and which units are at work; shared by the workers.

    Units are admitted in schedule order while their values find room, and wait for nobody once
    they are: so a schedule that fits never comes to a standstill.
    """

    def __init__(self, schedule: Schedule, store: Store, courses: Courses) -> None:
        self.schedule = schedule
        self.store = store
        self.courses = courses
        self.condition = Condition()
        self.running: list[Running] = []
        self.admitted = 0
        self.done: set[int] = set()
        self.taken = 0
        self.takers = Counter(task.key for unit in schedule.units for task in unit.borrows)
        self.is_stopped = False

    def stop(self) -> None:
        """Hand out nothing more."""
        with self.condition:
            self.is_stopped = True
            self.condition.notify_all()

    def take(self) -> tuple[Running, int] | None:
        """The next strip to compute, of the earliest unit that has one; None at the end."""
        with self.condition:
            while not self.is_stopped:
                ahead = sum(running.handed - running.merged for running in self.running)
                for running in self.running if ahead <= self._window else ():
                    if running.handed < len(running.strips):
                        running.handed += 1
                        return running, running.handed - 1
                if self._admit():
                    continue
                if len(self.done) == len(self.schedule.units):
                    return None
                self.condition.wait()
            return None

    def give_back(self, running: Running, number: int, results: Results) -> bool:
        """Hand in what a strip came to; whether that ends the pass, for the caller to conclude."""
        with self.condition:
            running.waiting[number] = results
            if running.is_merging:
                return False
            running.is_merging = True
        while (in_turn := self._next_in_turn(running)) is not None:
            running.merge(in_turn)
            with self.condition:
                milestone = running.milestone()
                for scan in running.scans.values():
                    scan.pop(running.merged, None)
                running.merged += 1
                self.condition.notify_all()
                if running.merged == len(running.strips):
                    return True
            if milestone is not None:
                self.courses.note(running.course, milestone)
        return False

    def before(self, running: Running, number: int, task: Task, own: Any) -> Any:
        """What the strips before one came to in a scan; its own goes to the next.

        Strips are handed out in order, so that the one waited for is always at work.
        """
        with self.condition:
            scan = running.scans.setdefault(task.key, {0: zeros(task)})
            self.condition.wait_for(lambda: number in scan or self.is_stopped)
            if number not in scan:
                raise StoppedError
            found = scan[number]
            scan[number + 1] = task.op.combine(found, own)
            self.condition.notify_all()
            return found

    def go_on(self, running: Running) -> None:
        """Let a unit enter its next pass, or end, once a pass is concluded."""
        with self.condition:
            self._enter_next(running)

    @property
    def _window(self) -> int:
        return WINDOW * self.schedule.threads

    def _next_in_turn(self, running: Running) -> Results | None:
        """What is to be merged next; None, and the merging left to others, if it is not there."""
        with self.condition:
            running.is_merging = running.merged in running.waiting
            return running.waiting.pop(running.merged, None)

    def _admit(self) -> bool:
        """Let the next unit start, if what it needs is there and its values find room."""
        if self.admitted == len(self.schedule.units):
            return False
        unit = self.schedule.units[self.admitted]
        wanted = unit.nbytes + unit.lends
        fits = not self.running or self.taken + wanted <= self.schedule.room
        is_crowded = len(self.running) > self.schedule.threads
        if is_crowded or not fits or not self.done.issuperset(unit.needs):
            return False
        running = Running(unit, self.admitted)
        self.admitted += 1
        self.taken += wanted
        self.store.trim(max(0, self.schedule.room - self.taken))
        self.running.append(running)
        self._enter_next(running)
        return True

    def _enter_next(self, running: Running) -> None:
        running.at += 1
        if running.at == len(running.unit.passes):
            self.running.remove(running)
            self.taken -= running.unit.nbytes
            self.done.add(running.number)
            self._return(running.unit)
        else:
            for task in running.part.keeps:
                self.store.make_room(task)
            running.enter(self.courses.begin(running.part))
        self.condition.notify_all()

    def _return(self, unit: Unit) -> None:
        """Let values go that no other unit is to borrow any more."""
        for task in unit.borrows:
            self.takers[task.key] -= 1
            if not self.takers[task.key]:
                self.taken -= task.spec.nbytes
                self.store.drop(task.key)


def zeros(task: Task) -> Any:
    """What a scan is before the first strip."""
    import torch

    return torch.zeros(task.spec.shape, dtype=getattr(torch, task.spec.dtype))


def bytes_of(strip: Any) -> memoryview:
    """The bytes of a contiguous strip."""
    import torch

    if strip.numel() == 0:
        return memoryview(b"")
    data: memoryview = strip.view(torch.uint8).numpy().data
    return data
