"""What the passes of a unit keep for those after them, so as to read and to compute less.

What a unit may come to does not depend on the budget: a larger one chooses from as many forms as a
smaller one, or more. So it never reads more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mergegraph.scheduling.drafts import (
    ALONE,
    Draft,
    Place,
    Route,
    Standing,
    big_inputs,
    is_stored,
    trace,
)
from mergegraph.scheduling.forms import UnitForm, form_of, work_of
from mergegraph.tasks import Task

_MOST_CHOICES = 32  # of one unit and kind, so that units of many tensors are planned in linear time
_LEAST_WORK = 8  # that keeping a value must save, in kernels' copies of it: it costs a few itself


def choices(
    unit: Sequence[Draft],
    at: Mapping[str, int],
    lasting: Collection[str],
    standing: Standing = ALONE,
) -> tuple[UnitForm, ...]:
    """The forms that a unit may have; the first keeps only what it must.

    Others keep, one after the other, values that save reading: those first that save most for their
    size, or, to find room where there is little, the smallest. After the former, they keep values
    that save much computing, too. `at` has the places of tasks, `lasting` what stays when the unit
    ends.
    """
    if len(unit) == 1:  # nothing comes after it
        return (form_of(trace(unit, standing), at, lasting),)
    chooser = _Chooser(unit, homes_of(trace(unit, standing)), at, lasting, standing)
    plain = chooser.choice(())
    worthy = [plain, *chooser.grow(plain, _worthiest, _reading)]
    small = chooser.grow(plain, _smallest, _reading)
    quick = chooser.grow(worthy[-1], _laborious, _reading_and_work)
    return tuple(each.form for each in (*worthy, *small, *quick))


def worth_keeping(line: Sequence[Route]) -> list[Task]:
    """Values that units may keep for later ones, those first that save most reading for their size.

    `line` has the passes of all units, as they are if each unit keeps for itself alone.
    """
    wanted: dict[str, Task] = {}
    for each in _worthiest(_savings(line, homes_of(line))):
        if _reads_more_than(each.task, wanted):
            wanted[each.task.key] = each.task
    return list(wanted.values())


def _reads_more_than(task: Task, held: Mapping[str, Task]) -> bool:
    """Whether computing a value reads inputs, if some values are held."""
    stack, seen = [task], {task.key}
    while stack:
        each = stack.pop()
        if each.key in held or (is_stored(each) and each is not task):
            continue
        if each.op.cut == "load":
            return True
        new = [parent for parent in big_inputs(each) if parent.key not in seen]
        seen |= {parent.key for parent in new}
        stack += new
    return False


@dataclass(frozen=True)
class _Saving:
    """What later passes are spared if a value is kept: bytes to read, and work."""

    task: Task
    nbytes: int
    work: int


_Order = Callable[[Sequence[_Saving]], list[_Saving]]


def _worthiest(savings: Sequence[_Saving]) -> list[_Saving]:
    """What saves reading, by what it saves for each byte; of equals small ones first."""
    able = [each for each in savings if each.nbytes]
    return sorted(able, key=lambda e: (-e.nbytes / e.task.spec.nbytes, e.task.spec.nbytes))


def _smallest(savings: Sequence[_Saving]) -> list[_Saving]:
    """What saves reading, small ones first."""
    return sorted((e for e in savings if e.nbytes), key=lambda e: (e.task.spec.nbytes, -e.nbytes))


def _laborious(savings: Sequence[_Saving]) -> list[_Saving]:
    """What saves much work, by what it saves for each byte."""
    able = [each for each in savings if each.work >= _LEAST_WORK * each.task.spec.numel > 0]
    return sorted(able, key=lambda e: -e.work / e.task.spec.nbytes)


def _reading(form: UnitForm) -> tuple[int, ...]:
    return (form.read_nbytes,)


def _reading_and_work(form: UnitForm) -> tuple[int, ...]:
    return form.read_nbytes, form.work


@dataclass(frozen=True)
class _Choice:
    """Values that a unit keeps by choice, the routes of its passes then, and its form."""

    kept: tuple[Task, ...]
    routes: Sequence[Route]
    form: UnitForm


@dataclass(frozen=True)
class _Chooser:
    """Chooses for one unit; `homes` has the pass in which each value could be kept."""

    unit: Sequence[Draft]
    homes: Mapping[str, Place]
    at: Mapping[str, int]
    lasting: Collection[str]
    standing: Standing

    def choice(self, kept: tuple[Task, ...]) -> _Choice:
        """The unit if some values are kept."""
        routes = _routes(self.unit, self.homes, kept, self.standing)
        return _Choice(kept, routes, form_of(routes, self.at, self.lasting))

    def grow(
        self, start: _Choice, order: _Order, measure: Callable[[UnitForm], tuple[int, ...]]
    ) -> Iterator[_Choice]:
        """Choices that keep more and more, in an order, each lower by a measure than the last."""
        wanted = [each.task for each in order(_savings(start.routes, self.homes))]
        step = max(1, -(-len(wanted) // _MOST_CHOICES))
        for i in range(0, len(wanted), step):
            tried = self.choice((*start.kept, *wanted[i : i + step]))
            if measure(tried.form) < measure(start.form):
                start = tried
                yield start


def homes_of(plain: Sequence[Route]) -> dict[str, Place]:
    """For each value that could be kept the first pass that computes all its entries."""
    homes: dict[str, Place] = {}
    for route in plain:
        _, _, numel, _ = route.draft.place
        for task in route.steps:
            if not is_stored(task) and not task.is_scan and numel >= task.spec.numel:
                homes.setdefault(task.key, route.draft.place)
    return homes


def _routes(
    unit: Sequence[Draft], homes: Mapping[str, Place], kept: Sequence[Task], standing: Standing
) -> list[Route]:
    """The routes of passes that keep some values; what no later pass comes to hold is not kept."""
    while True:
        chosen = {place: list(tasks) for place, tasks in standing.kept.items()}
        for task in kept:
            chosen.setdefault(homes[task.key], []).append(task)
        routes = trace(unit, replace(standing, kept=chosen))
        held = {key for route in routes for key in route.held}
        if all(task.key in held for task in kept):
            return routes
        kept = [task for task in kept if task.key in held]


def _savings(routes: Sequence[Route], homes: Mapping[str, Place]) -> list[_Saving]:
    """What each value that is computed again would save if it were kept."""
    saved: dict[str, _Saving] = {}
    passed: set[Place] = set()
    for route in routes:
        for each in _spared(route):
            if homes.get(each.task.key) in passed:
                known = saved.get(each.task.key, _Saving(each.task, 0, 0))
                total = (known.nbytes + each.nbytes, known.work + each.work)
                saved[each.task.key] = _Saving(each.task, *total)
        passed.add(route.draft.place)
    return list(saved.values())


def _spared(route: Route) -> Iterator[_Saving]:
    """What a pass is spared if it holds a value: the steps whose every way out leads through it."""
    number = {task.key: i for i, task in enumerate(route.steps)}
    users: list[list[int]] = [[] for _ in route.steps]
    for i, task in enumerate(route.steps):
        for each in big_inputs(task):
            if each.key in number:
                users[number[each.key]].append(i)
    ends = {*route.draft.written, *route.keeps}
    gates = _gates(users, [task.key in ends for task in route.steps])
    nbytes = [task.spec.nbytes if task.op.cut == "load" else 0 for task in route.steps]
    work = [work_of(task, route) for task in route.steps]
    for i, (task, gate) in enumerate(zip(route.steps, gates, strict=True)):
        yield _Saving(task, nbytes[i], work[i])
        if gate < len(gates):
            nbytes[gate] += nbytes[i]
            work[gate] += work[i]


def _gates(users: Sequence[Sequence[int]], is_end: Sequence[bool]) -> list[int]:
    """For each step the next one that all ways to an end lead through; their number if none is.

    These are the immediate post-dominators: steps stand before their users, ends have none.
    """
    outside = len(users)
    gates = [outside] * outside
    for i in range(outside - 1, -1, -1):
        ways = [outside] if is_end[i] or not users[i] else users[i]
        gate = ways[0]
        for other in ways[1:]:
            while gate != other:
                # the one that stands earlier is not the gate; what stands behind it may be
                if gate < other:
                    gate = gates[gate]
                else:
                    other = gates[other]  # noqa: PLW2901
        gates[i] = gate
    return gates
