"""Portions: a plan divided into parts that have no input in common."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain

from mergegraph.findings import Check
from mergegraph.tasks import Task

_OPEN = -1  # what a task's owner is while its inputs are looked at


@dataclass(frozen=True, slots=True)
class Portion:
    """Some outputs, by their numbers, and all tasks that they and their checks stand on.

    Inputs stand before users. No other portion has any of the tasks.
    """

    outputs: tuple[int, ...]
    tasks: tuple[Task, ...]


def divide(
    roots: Sequence[Task], checks: Sequence[Check], known: Collection[str] = ()
) -> tuple[tuple[Portion, ...], tuple[Check, ...]]:
    """The portions of some outputs' tasks, in the order of the outputs, and the checks in them.

    Checks of what is not computed for an output are left out: a finished tensor is not looked at
    again, an input that no output needs is not read. So is what `known` values stand on.
    """
    division = _Division(known)
    for root in roots:
        division.add(root)
    due = [check for check in checks if check.task.key in known or division.computes(check)]
    for check in due:
        if check.task.key not in known:
            division.add(check.task)
    return division.portions(len(roots)), tuple(due)


@dataclass
class _Division:
    """Tasks by the root at which they were met first, and roots that have met one another's."""

    known: Collection[str] = ()
    owners: dict[str, int] = field(default_factory=dict)
    leaders: list[int] = field(default_factory=list)
    tasks: list[list[Task]] = field(default_factory=list)

    def add(self, root: Task) -> None:
        """Take in all tasks that a root stands on."""
        number = len(self.leaders)
        self.leaders.append(number)
        owners, new, stack = self.owners, [], [root]
        while stack:
            task = stack[-1]
            key = task.key
            if key in self.known:
                stack.pop()
                continue
            owner = owners.get(key)
            if owner is None:
                owners[key] = _OPEN
                stack += task.inputs[::-1]
                continue
            stack.pop()
            if owner == _OPEN:
                owners[key] = number
                new.append(task)
            elif owner != number:
                self.join(owner, number)
        self.tasks.append(new)

    def computes(self, check: Check) -> bool:
        """Whether what is checked, or what it is made of, is there."""
        checked = check.task.inputs[0]
        return any(each.key in self.owners for each in (checked, *checked.inputs))

    def join(self, first: int, second: int) -> None:
        """Let two roots be of one portion, that of the earlier one."""
        first, second = self.leader(first), self.leader(second)
        self.leaders[max(first, second)] = min(first, second)

    def leader(self, number: int) -> int:
        """The first root of the portion that a root is in."""
        leaders = self.leaders
        while leaders[number] != number:
            leaders[number] = number = leaders[leaders[number]]
        return number

    def portions(self, outputs: int) -> tuple[Portion, ...]:
        """The portions; the first `outputs` roots are outputs."""
        members: dict[int, list[int]] = {}
        for number in range(len(self.leaders)):
            members.setdefault(self.leader(number), []).append(number)
        return tuple(
            Portion(
                outputs=tuple(number for number in numbers if number < outputs),
                tasks=tuple(chain.from_iterable(self.tasks[number] for number in numbers)),
            )
            for numbers in members.values()
        )
