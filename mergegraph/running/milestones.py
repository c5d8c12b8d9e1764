"""Milestones: what a run notes on its way, so that a later one goes on from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

from mergegraph.plans import Output
from mergegraph.scheduling.schedule import Pass

_EVERY = 64 * 2**20  # bytes read and written between two milestones of a pass
_TIMES_STATE = 64  # that so many bytes are at least, so that noting takes little of a run
_MOST_VALUES = 16 * 2**20  # bytes of the values of one pass that are worth noting


@dataclass(frozen=True)
class Milestone:
    """How far a pass is: its entries up to `entries` are written.

    `state` is what its folds and scans have come to by then, by task key, and `digests` the SHA-256
    of what is written, of each output.
    """

    entries: int
    state: Mapping[str, Any]
    digests: tuple[str, ...]


@dataclass(frozen=True)
class Left:
    """What an earlier run left: small values by task key, and milestones by the names of passes."""

    values: Mapping[str, Any] = field(default_factory=dict)
    milestones: Mapping[str, Milestone] = field(default_factory=dict)


NOTHING_LEFT = Left()


class Log(Protocol):
    """Keeps what a run notes; it is told from any thread, after the bytes that a note is about."""

    def values(self, values: Mapping[str, Any]) -> None:
        """Keep small values that passes ended in, by task key."""

    def milestone(self, name: str, milestone: Milestone) -> None:
        """Keep how far a pass is."""

    def digest(self, output: int, entries: int) -> Any:
        """The SHA-256, to be gone on with, of so many entries that an earlier run wrote."""


@dataclass
class Course:
    """The way through one pass: where it starts, and when to note how far it is."""

    name: str = ""
    targets: tuple[int, ...] = ()
    entry_nbytes: int = 0
    is_long: bool = False
    entries: int = 0
    state: Mapping[str, Any] = field(default_factory=dict)
    digests: Mapping[int, Any] = field(default_factory=dict)
    _state_nbytes: int = 0

    def go_on(self, found: Milestone, digests: Mapping[int, Any]) -> None:
        """Start where an earlier run was."""
        self.entries, self.state, self.digests = found.entries, found.state, digests

    def is_due(self, entries: int) -> bool:
        """Whether to note that a pass has come so far."""
        wait = max(_EVERY, _TIMES_STATE * self._state_nbytes)
        return bool(self.name) and (entries - self.entries) * self.entry_nbytes >= wait

    def milestone(
        self, entries: int, state: Mapping[str, Any], digests: Mapping[int, Any]
    ) -> Milestone | None:
        """How far it is now; None if folds come to more than tensors, which are not noted."""
        import torch

        if not all(isinstance(each, torch.Tensor) for each in state.values()):
            return None
        self.entries = entries
        self._state_nbytes = sum(each.nbytes for each in state.values())
        told = tuple(digests[number].copy().hexdigest() for number in self.targets)
        return Milestone(entries, state, told)


class Courses:
    """Begins passes, at their start or where an earlier run was, and notes how far they come."""

    def __init__(self, outputs: Sequence[Output], left: Left, log: Log | None) -> None:
        self._outputs = outputs
        self._left = left
        self._log = log

    def begin(self, part: Pass) -> Course:
        """The way through a pass. What an earlier run wrote of it is read, to be sure of it."""
        targets = tuple(n for key in sorted(part.writes) for n in self._named(part, key))
        written = sum(self._outputs[number].task.spec.itemsize for number in targets)
        entry_nbytes = sum(each.spec.itemsize for each in part.loads) + written
        is_long = part.grid.numel * entry_nbytes >= _EVERY
        if self._log is None or not is_long or part.keeps:
            return Course(is_long=is_long)
        course = Course(self._name(part), targets, entry_nbytes, is_long)
        if found := self._left.milestones.get(course.name):
            digests = {number: self._log.digest(number, found.entries) for number in targets}
            if tuple(each.hexdigest() for each in digests.values()) == found.digests:
                course.go_on(found, digests)
        return course

    def note(self, course: Course, milestone: Milestone) -> None:
        """Note how far a pass is."""
        if self._log is not None:
            self._log.milestone(course.name, milestone)

    def note_values(self, course: Course, values: Mapping[str, Any], *, are_lent: bool) -> None:
        """Note what a pass ended in, if that is of use to a later run and takes little room."""
        is_small = sum(each.nbytes for each in values.values()) <= _MOST_VALUES
        if self._log is not None and values and is_small and (course.is_long or are_lent):
            self._log.values(values)

    def _named(self, part: Pass, key: str) -> list[int]:
        """The outputs that a task is written to, in an order that every run finds."""
        return sorted(part.writes[key], key=lambda number: self._outputs[number].name)

    def _name(self, part: Pass) -> str:
        """A name by which a later run knows the pass: what it makes, and how it is cut."""
        made = sorted(task.key for task in part.steps if task.op.gathers)
        written = [
            f"{key} {self._outputs[number].name}"
            for key in sorted(part.writes)
            for number in self._named(part, key)
        ]
        told = "\n".join([f"{part.grid.numel} {part.grid.row}", *made, *written])
        return blake2b(told.encode(), digest_size=16).hexdigest()
