"""The schedule: a plan as a straight line of passes, with its peak in bytes.

All policy is here: what runs together, in which order, what is kept and what is read again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mergegraph.drafts import (
    Draft,
    Place,
    big_inputs,
    make_drafts,
    make_units,
    origins,
    trace,
)
from mergegraph.errors import MergeGraphError
from mergegraph.findings import Check
from mergegraph.plans import Output, Plan
from mergegraph.strips import Grid
from mergegraph.tasks import Task, walk

FLOAT_NBYTES = 4  # of an entry in the arithmetic
WINDOW = 2  # strips a worker may be ahead of the one that is merged next
# what a unit may keep to read less: the first that fits is taken, so that larger budgets never
# read more
_ALLOWANCES = (*(2**20 * 4**step for step in range(12, -1, -1)), 0)


@dataclass(frozen=True)
class Pass:
    """Some tensors read once, strip by strip, and everything that is made of them on the way.

    `steps` are computed for each strip in order, folds among them; `drops` tells for each step
    whose strips nobody needs after it. `held` are sliced from the store. Of both, `writes` go to
    outputs, by their numbers, and `keeps` to the store. `then` are computed once after the last
    strip; `frees` leave the store after that.
    """

    grid: Grid
    steps: tuple[Task, ...]
    drops: tuple[tuple[str, ...], ...]
    held: tuple[Task, ...]
    writes: Mapping[str, tuple[int, ...]]
    keeps: tuple[Task, ...]
    then: tuple[Task, ...]
    frees: tuple[str, ...]
    strip_nbytes: int

    @property
    def loads(self) -> tuple[Task, ...]:
        """The tasks that read inputs."""
        return tuple(task for task in self.steps if task.op.cut == "load")

    @property
    def folds(self) -> tuple[Task, ...]:
        """The tasks that gather small values over all strips."""
        return tuple(task for task in self.steps if task.op.cut == "fold")


@dataclass(frozen=True)
class Unit:
    """Passes that run one after another, and the most that their values take in the store.

    It starts when the units it `needs` are done; from there on it waits for nobody.
    """

    passes: tuple[Pass, ...]
    nbytes: int
    needs: tuple[int, ...]


@dataclass(frozen=True)
class Schedule:
    """Units in the order in which they are admitted, and the checks made on the way.

    `room` is what values in the store may take; with the strips that `threads` workers have in
    hand it makes up `peak_nbytes`, which is within the budget the schedule was made for.
    """

    outputs: tuple[Output, ...]
    units: tuple[Unit, ...]
    checks: tuple[Check, ...]
    threads: int
    room: int
    peak_nbytes: int

    @property
    def passes(self) -> Iterator[Pass]:
        """Every pass, in order."""
        return (each for unit in self.units for each in unit.passes)

    @property
    def read_nbytes(self) -> int:
        """Bytes read from inputs, counted each time they are read."""
        return sum(task.spec.nbytes for each in self.passes for task in each.loads)

    @property
    def written_nbytes(self) -> int:
        """Bytes of all output tensors."""
        return sum(output.task.spec.nbytes for output in self.outputs)


def make_schedule(
    plan: Plan, *, budget: int, threads: int = 1, done: Collection[tuple[str, str]] = ()
) -> Schedule:
    """Put a plan in order so that it runs within `budget` bytes.

    Outputs named in `done`, as (directory, tensor), exist already and are left out. Raises
    MergeGraphError with the bytes that are needed if no order fits.
    """
    outputs = tuple(each for each in plan.outputs if (str(each.directory), each.name) not in done)
    tightest = None
    for allowance in [each for each in _ALLOWANCES if each <= budget // 2]:
        line = _line(outputs, plan.checks, allowance)
        for workers in range(threads, 0, -1):
            made = _fitted(line, budget, workers)
            if made.peak_nbytes <= budget:
                return made
            if tightest is None or made.peak_nbytes < tightest.peak_nbytes:
                tightest = made
    assert tightest is not None
    raise MergeGraphError(_too_large(tightest, budget))


def _too_large(tightest: Schedule, budget: int) -> str:
    unit = max(tightest.units, key=lambda each: each.nbytes)
    numbers = [i for each in unit.passes for written in each.writes.values() for i in written]
    what = f", most of it for {tightest.outputs[numbers[0]].name}" if numbers else ""
    needed = -(-tightest.peak_nbytes // 2**20)
    return (
        f"the merge takes {needed} MiB of memory{what}, and the budget is {budget // 2**20} MiB; "
        f"allow it --memory {needed}MiB"
    )


def _line(outputs: tuple[Output, ...], checks: Sequence[Check], allowance: int) -> Schedule:
    """The units in order, for any number of threads; `room` is what lasts to the end."""
    roots = [each.task for each in outputs]
    checks = _due(roots, checks)
    drafts, homes = make_drafts(list(walk(*roots, *(each.task for each in checks))), roots)
    units = make_units(drafts, homes)
    unit_of = {draft.place: i for i, unit in enumerate(units) for draft in unit}
    lasting = _lasting(units, homes, unit_of)
    made = []
    for i, unit in enumerate(units):
        trace(unit)
        _keep_by_choice(unit, allowance, lasting)
        needs = {unit_of[home] for draft in unit for home in origins(draft, homes)} - {i}
        passes, nbytes = _finished(unit, lasting)
        made.append(Unit(passes, nbytes, tuple(sorted(needs))))
    room = sum(task.spec.nbytes for task in lasting.values())
    return Schedule(outputs, tuple(made), tuple(checks), threads=0, room=room, peak_nbytes=0)


def _due(roots: Sequence[Task], checks: Sequence[Check]) -> list[Check]:
    """The checks of what is computed anyway: tensors that are finished are not looked at again."""
    computed = {task.key for task in walk(*roots)}
    return [
        each
        for each in checks
        if any(t.key in computed for t in (each.task.inputs[0], *each.task.inputs[0].inputs))
    ]


def _fitted(line: Schedule, budget: int, threads: int) -> Schedule:
    """The line for a number of threads, with the memory that it takes."""
    strips = max((each.strip_nbytes for each in line.passes), default=0)
    always = line.room + threads * strips
    largest = sorted((unit.nbytes for unit in line.units), reverse=True)
    room = max(budget - always, *largest[:1], 0)
    peak = always + min(room, sum(largest[: threads + 1]))
    return replace(line, threads=threads, room=room, peak_nbytes=peak)


def _lasting(
    units: Sequence[Sequence[Draft]], homes: Mapping[str, Place], unit_of: Mapping[Place, int]
) -> dict[str, Task]:
    """Values that units other than their own need; they stay in the store to the end."""
    return {
        task.key: task
        for i, unit in enumerate(units)
        for draft in unit
        for task in draft.needed()
        if task.key in homes and unit_of[homes[task.key]] != i
    }


def _keep_by_choice(unit: Sequence[Draft], allowance: int, lasting: Collection[str]) -> None:
    """Keep inputs that would be read again, small ones first, while the allowance lasts."""
    readers: dict[str, list[Draft]] = {}
    loads: dict[str, Task] = {}
    for draft in unit:
        for task in draft.steps:
            if task.op.cut == "load":
                readers.setdefault(task.key, []).append(draft)
                loads[task.key] = task
    again = [task for key, task in loads.items() if len(readers[key]) > 1]
    spare = allowance - _finished(unit, lasting)[1] if again else 0
    for task in sorted(again, key=lambda each: each.spec.nbytes):
        spare -= task.spec.nbytes
        if spare < 0:
            return
        first, *later = readers[task.key]
        first.keeps[task.key] = task
        for draft in later:
            draft.steps.remove(task)
            draft.held[task.key] = task


def _finished(unit: Sequence[Draft], lasting: Collection[str]) -> tuple[tuple[Pass, ...], int]:
    """The passes of a unit, each with what may leave the store after it, and the peak in bytes."""
    last: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for i, draft in enumerate(unit):
        for task in (*draft.keeps.values(), *draft.folds.values(), *draft.then):
            last[task.key], sizes[task.key] = i, task.spec.nbytes
        for task in draft.needed():
            last[task.key] = i
    passes = []
    peak = stored = 0
    for i, draft in enumerate(unit):
        stored += sum(sizes[key] for key in (*draft.keeps, *draft.folds) if key not in lasting)
        peak = max(peak, stored)
        for task in draft.then:
            largest = max(each.spec.numel for each in (task, *task.inputs))
            peak = max(peak, stored + task.op.copies * largest * FLOAT_NBYTES)
            stored += 0 if task.key in lasting else sizes[task.key]
        frees = tuple(key for key in sizes if last[key] == i and key not in lasting)
        peak = max(peak, stored)
        stored -= sum(sizes[key] for key in frees)
        passes.append(_pass(draft, frees))
    return tuple(passes), peak


def _pass(draft: Draft, frees: tuple[str, ...]) -> Pass:
    _, _, numel, row = draft.place
    grid = Grid(numel, row, by_rows=any(task.op.cut == "rowwise" for task in draft.steps))
    drops = _drops(draft)
    return Pass(
        grid=grid,
        steps=tuple(draft.steps),
        drops=drops,
        held=tuple(draft.held.values()),
        writes={key: tuple(numbers) for key, numbers in draft.writes.items()},
        keeps=tuple(draft.keeps.values()),
        then=tuple(draft.then),
        frees=frees,
        strip_nbytes=_strip_nbytes(draft, drops, min(grid.step, numel)),
    )


def _drops(draft: Draft) -> tuple[tuple[str, ...], ...]:
    """For each step the strips that it is the last to need, its own included."""
    last = {task.key: i for i, task in enumerate(draft.steps)}
    for i, task in enumerate(draft.steps):
        last.update((each.key, i) for each in big_inputs(task) if each.key in last)
    ends: list[list[str]] = [[] for _ in draft.steps]
    for key, i in last.items():
        ends[i].append(key)
    return tuple(map(tuple, ends))


def _strip_nbytes(draft: Draft, drops: Sequence[Sequence[str]], numel: int) -> int:
    """The most that one worker has in hand for a strip, results waiting for their turn included."""
    live: dict[str, int] = {}
    peak = 0
    for task, dropped in zip(draft.steps, drops, strict=True):
        is_fold = task.key in draft.folds
        own = task.spec.nbytes if is_fold or task.is_scan else numel * task.spec.itemsize
        peak = max(peak, sum(live.values()) + own + task.op.copies * numel * FLOAT_NBYTES)
        live[task.key] = 0 if is_fold else own
        for key in dropped:
            del live[key]
    waiting = sum(task.spec.nbytes for task in draft.folds.values())
    waiting += sum(numel * task.spec.itemsize for task in draft.written.values())
    return peak + (WINDOW + 1) * waiting
