"""What is found while a stage is built: problems, notes, and checks to be made on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mergegraph.errors import Problem, RunError
from mergegraph.tasks import Task

_MOST_NAMED = 3  # tensors of a warning


@dataclass(frozen=True, slots=True)
class Check:
    """A count that is to be zero, and what it means if it is not.

    One that is fatal ends the run with its fact. Of others those of one fact are told together,
    each by the name of its tensor. If one of its `causes` is not zero either, the first such is the
    fact: they are looked at only then.
    """

    task: Task
    fact: str
    is_fatal: bool
    tensor: str = ""
    causes: tuple[Check, ...] = ()

    @property
    def watched(self) -> Task:
        """What is counted."""
        return self.task.inputs[0]

    def told(self, count: int) -> str:
        """The fact, with the count that was found."""
        fact, semicolon, remedy = self.fact.partition("; ")
        return f"{fact} ({count} of them){semicolon}{remedy}"


class CheckError(RunError):
    """A check that ends the run."""

    def __init__(self, check: Check, count: int) -> None:
        self.check = check
        super().__init__(check.told(count))


@dataclass
class Findings:
    """Gathers findings; a problem of one kind at one place is told once."""

    problems: list[Problem] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    checks: dict[tuple[str, str], Check] = field(default_factory=dict)
    _told: set[tuple[str, str]] = field(default_factory=set)

    def wrong(self, place: str, fact: str, kind: str) -> None:
        """Report a problem."""
        if (place, kind) not in self._told:
            self._told.add((place, kind))
            self.problems.append(Problem(place, fact))

    def note(self, fact: str) -> None:
        """Tell what is done, where users might expect something else."""
        self.notes[fact] = None

    def check(self, check: Check) -> None:
        """Have a count looked at during the run."""
        self.checks.setdefault((check.task.key, check.fact), check)


def warnings_of(found: Iterable[tuple[Check, int]]) -> Iterator[str]:
    """What is to be told of checks that are not zero: those of one fact in one sentence."""
    together: dict[str, list[tuple[Check, int]]] = {}
    for check, count in found:
        together.setdefault(check.fact, []).append((check, count))
    for fact, each in together.items():
        named = [f"{check.tensor} ({count})" for check, count in each[:_MOST_NAMED] if check.tensor]
        if not named:
            yield each[0][0].told(each[0][1])
            continue
        more = len(each) - len(named)
        others = f" and {more} more tensors" if more > 1 else " and 1 more tensor" if more else ""
        yield f"{fact}: {', '.join(named)}{others}"
