"""Forms: passes with the memory they take, told by the places of their tasks in a portion.

Portions of equal structure, as the layers and experts of a model are, have one form.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mergegraph.portions import Portion
from mergegraph.scheduling.drafts import Route, big_inputs
from mergegraph.strips import Grid
from mergegraph.tasks import Task

FLOAT_NBYTES = 4  # of an entry in the arithmetic
TOGETHER = (1, 2, 4, 8, 16, 32, 64)  # strips that may be worked on at once
WINDOW = 2  # strips a worker may be ahead of the one that is merged next

Places = tuple[int, ...]  # of tasks, in their portion


@dataclass(frozen=True, slots=True)
class PassForm:
    """A pass, for every portion of one structure; its parts are those of `schedule.Pass`.

    `strip_nbytes` is the most that a worker has in hand, for each number of `TOGETHER`; `ends` has
    for each step the steps whose strips it is the last to need, by their numbers;
    `writes` has outputs by their order in the portion.
    """

    grid: Grid
    steps: Places
    ends: tuple[tuple[int, ...], ...]
    held: Places
    writes: tuple[tuple[int, tuple[int, ...]], ...]
    keeps: Places
    then: Places
    frees: Places
    strip_nbytes: tuple[int, ...]
    read_nbytes: int
    work: int


@dataclass(frozen=True, slots=True)
class UnitForm:
    """A unit, for every portion of one structure: its passes and the peak of its values."""

    passes: tuple[PassForm, ...]
    nbytes: int

    @property
    def read_nbytes(self) -> int:
        """Bytes read from inputs."""
        return sum(each.read_nbytes for each in self.passes)

    @property
    def work(self) -> int:
        """What there is to compute, as far as that can be told."""
        return sum(each.work for each in self.passes)

    @property
    def strip_nbytes(self) -> tuple[int, ...]:
        """The most that a worker has in hand, for each number of `TOGETHER`."""
        return tuple(map(max, zip(*(each.strip_nbytes for each in self.passes), strict=True)))


def structure(portion: Portion, roots: Sequence[Task]) -> tuple[Any, ...]:
    """What portions must have in common to be of one form; `roots` are their outputs' tasks.

    It is everything that the schedule looks at: ops, specs, and who is made of whom. Inputs that no
    task of the portion makes are known from an earlier run.
    """
    at: dict[str, int] = {}
    found: list[Any] = []
    for number, task in enumerate(portion.tasks):
        at[task.key] = number
        found += (task.op, task.spec, *[at.get(each.key, -1) for each in task.inputs])
    return (*found, None, *[at[root.key] for root in roots])


def form_of(unit: Sequence[Route], at: Mapping[str, int], lasting: Collection[str]) -> UnitForm:
    """The form of a unit; `at` has the places of tasks, `lasting` what stays when it ends."""
    last: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for i, route in enumerate(unit):
        for task in (*route.keeps.values(), *route.draft.folds.values(), *route.draft.then):
            last[task.key], sizes[task.key] = i, task.spec.nbytes
        for task in route.needed():
            last[task.key] = i
    passes = []
    peak = stored = 0
    for i, route in enumerate(unit):
        made = (*route.keeps, *route.draft.folds)
        stored += sum(sizes[key] for key in made if key not in lasting)
        peak = max(peak, stored)
        for task in route.draft.then:
            largest = max(each.spec.numel for each in (task, *task.inputs))
            peak = max(peak, stored + task.op.copies * largest * FLOAT_NBYTES)
            stored += 0 if task.key in lasting else sizes[task.key]
        frees = [key for key in sizes if last[key] == i and key not in lasting]
        peak = max(peak, stored)
        stored -= sum(sizes[key] for key in frees)
        passes.append(_pass(route, frees, at))
    return UnitForm(tuple(passes), peak)


def _pass(route: Route, frees: Iterable[str], at: Mapping[str, int]) -> PassForm:
    grid = _grid(route)
    ends = _ends(route.steps)

    def places(keys: Iterable[str]) -> Places:
        return tuple(at[key] for key in keys)

    return PassForm(
        grid=grid,
        steps=places(task.key for task in route.steps),
        ends=ends,
        held=places(route.held),
        writes=tuple((at[key], tuple(on)) for key, on in route.draft.writes.items()),
        keeps=places(route.keeps),
        then=places(task.key for task in route.draft.then),
        frees=places(frees),
        strip_nbytes=_strip_nbytes(
            route, ends, [min(replace(grid, together=count).step, grid.numel) for count in TOGETHER]
        ),
        read_nbytes=sum(task.spec.nbytes for task in route.steps if task.op.cut == "load"),
        work=sum(work_of(task, route) for task in route.steps),
    )


def _grid(route: Route) -> Grid:
    """How the tensors of a pass are cut: a vector is one row, also where its users are shorter."""
    _, _, numel, row = route.draft.place
    rowwise = [task for task in route.steps if task.op.cut == "rowwise"]
    longest = max((each.spec.row for task in rowwise for each in big_inputs(task)), default=row)
    if longest > row:
        numel = row = longest
    return Grid(numel, row, by_rows=bool(rowwise))


def work_of(task: Task, route: Route) -> int:
    """What a step takes, as far as that can be told: the entries that its kernel allocates."""
    _, _, numel, _ = route.draft.place
    return 0 if task.op.cut == "load" else task.op.copies * numel


def _ends(steps: Sequence[Task]) -> tuple[tuple[int, ...], ...]:
    """For each step the steps whose strips it is the last to need, its own included."""
    number = {task.key: i for i, task in enumerate(steps)}
    last = list(range(len(steps)))
    for i, task in enumerate(steps):
        for each in big_inputs(task):
            if each.key in number:
                last[number[each.key]] = i
    ends: list[list[int]] = [[] for _ in steps]
    for i, end in enumerate(last):
        ends[end].append(i)
    return tuple(map(tuple, ends))


def _strip_nbytes(
    route: Route, ends: Sequence[Sequence[int]], numels: Sequence[int]
) -> tuple[int, ...]:
    """The most that one worker has in hand for strips of some lengths.

    Results that wait for their turn are among it. It is counted as so many bytes, and so many for
    each entry.
    """
    folds, written = route.draft.folds, route.draft.written
    own: list[tuple[int, int]] = []
    fixed = each = 0
    peaks = {(0, 0)}
    for task, done in zip(route.steps, ends, strict=True):
        gathers = task.op.gathers
        made = (task.spec.nbytes, 0) if gathers else (0, task.spec.itemsize)
        peaks.add((fixed + made[0], each + made[1] + task.op.copies * FLOAT_NBYTES))
        own.append((0, 0) if task.key in folds else made)
        fixed += own[-1][0] - sum(own[i][0] for i in done)
        each += own[-1][1] - sum(own[i][1] for i in done)
    waiting = sum(task.spec.nbytes for task in folds.values())
    waiting_each = sum(task.spec.itemsize for task in written.values())
    return tuple(
        max(fixed + each * numel for fixed, each in peaks)
        + (WINDOW + 1) * (waiting + waiting_each * numel)
        for numel in numels
    )
