"""What is found while a stage is built: problems, notes, and checks to be made on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from mergegraph.errors import Problem
from mergegraph.tasks import Task


@dataclass(frozen=True, slots=True)
class Check:
    """A count that is to be zero, and what it means if it is not."""

    task: Task
    fact: str
    is_fatal: bool


@dataclass
class Findings:
    """Gathers findings; a problem of one kind at one place is told once."""

    problems: list[Problem] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)
    _told: set[tuple[str, str]] = field(default_factory=set)

    def wrong(self, place: str, fact: str, kind: str) -> None:
        """Report a problem."""
        if (place, kind) not in self._told:
            self._told.add((place, kind))
            self.problems.append(Problem(place, fact))

    def note(self, fact: str) -> None:
        """Tell what is done, where users might expect something else."""
        self.notes[fact] = None

    def check(self, task: Task, fact: str, *, is_fatal: bool) -> None:
        """Have a count looked at during the run."""
        self.checks.setdefault(task.key, Check(task, fact, is_fatal))
