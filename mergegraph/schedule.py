"""The schedule: a plan as a straight line of passes, with its peak in bytes.

All policy is here: what runs together, in which order, what is kept and what is read again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx

from mergegraph.errors import MergeGraphError
from mergegraph.plan import Output, Plan
from mergegraph.strips import Grid
from mergegraph.tasks import Task, rebuilt, walk

WINDOW = 2  # strips a worker may be ahead of the one that is merged next
_FLOAT = 4  # bytes of an entry in the arithmetic
_BY_CHOICE = 3, 8  # the share of the budget that a unit may take to read less


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
    """Units in the order in which they are admitted.

    `room` is what values in the store may take; with the strips that `threads` workers have in
    hand it makes up `peak_nbytes`, which is within the budget the schedule was made for.
    """

    outputs: tuple[Output, ...]
    units: tuple[Unit, ...]
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
    checks = [check.task for check in plan.checks] if outputs else []
    attempts = (
        _scheduled(outputs, checks, budget, workers, allowance)
        for allowance in (budget * _BY_CHOICE[0] // _BY_CHOICE[1], 0)
        for workers in range(threads, 0, -1)
    )
    tightest = None
    for made in attempts:
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


# A pass is known by its place: group, level, entries of its tensors, entries of a row.
_Place = tuple[int, int, int, int]


@dataclass
class _Draft:
    """A pass in the making."""

    place: _Place
    writes: dict[str, list[int]] = field(default_factory=dict)
    written: dict[str, Task] = field(default_factory=dict)
    folds: dict[str, Task] = field(default_factory=dict)
    keeps: dict[str, Task] = field(default_factory=dict)
    then: list[Task] = field(default_factory=list)
    steps: list[Task] = field(default_factory=list)
    held: dict[str, Task] = field(default_factory=dict)

    def needed(self) -> Iterator[Task]:
        """Values it takes from the store, for its strips or afterwards."""
        yield from self.held.values()
        for task in (*self.steps, *self.then):
            yield from (each for each in task.inputs if _is_stored(each))


def _scheduled(
    outputs: tuple[Output, ...], checks: Sequence[Task], budget: int, threads: int, allowance: int
) -> Schedule:
    roots = [each.task for each in outputs]
    lowered = _lowered([*roots, *checks], allowance)
    roots = [lowered[task.key] for task in roots]
    tasks = list(walk(*roots, *(lowered[task.key] for task in checks)))
    drafts, homes = _drafts(tasks, roots)
    units = _units(drafts, homes)
    unit_of = {draft.place: i for i, unit in enumerate(units) for draft in unit}
    lasting = _lasting(units, homes, unit_of)
    made = []
    for i, unit in enumerate(units):
        _trace(unit)
        _keep_by_choice(unit, allowance, lasting)
        needs = {unit_of[home] for draft in unit for home in _origins(draft, homes)} - {i}
        passes, nbytes = _finished(unit, lasting)
        made.append(Unit(passes, nbytes, tuple(sorted(needs))))
    scratch = threads * max((each.strip_nbytes for unit in made for each in unit.passes), default=0)
    always = scratch + sum(task.spec.nbytes for task in lasting.values())
    largest = sorted((unit.nbytes for unit in made), reverse=True)
    room = max(budget - always, *largest[:1], 0)
    return Schedule(
        outputs=outputs,
        units=tuple(made),
        threads=threads,
        room=room,
        peak_nbytes=always + min(room, sum(largest[: threads + 1])),
    )


def _lowered(roots: Sequence[Task], allowance: int) -> dict[str, Task]:
    """What stands for each root: whole ops that would not fit give way to their folds."""
    tasks = list(walk(*roots))
    groups = _groups(tasks)
    inputs: dict[int, dict[str, int]] = {}
    for task in tasks:
        if task.op.streamed and _big(task):
            for each in _big(task):
                sizes = inputs.setdefault(groups[each.key], {})
                sizes[each.key] = each.spec.numel * max(_FLOAT, each.spec.itemsize)
    fits = {
        group: sum(sizes.values()) + max(sizes.values()) * 3 <= allowance
        for group, sizes in inputs.items()
    }

    def lower(task: Task, given: list[Task]) -> Task:
        if task.op.streamed and _big(task) and not fits[groups[_big(task)[0].key]]:
            return task.op.streamed(*given, **task.numbers)
        unchanged = all(new is old for new, old in zip(given, task.inputs, strict=True))
        return task if unchanged else task.op(*given, **task.numbers)

    return rebuilt(roots, lower)


def _groups(tasks: Iterable[Task]) -> dict[str, int]:
    """The group of each task: big tensors made of one another, or of the same inputs."""
    graph: nx.Graph[str] = nx.Graph()
    for task in tasks:
        graph.add_node(task.key)
        graph.add_edges_from((task.key, each.key) for each in _big(task))
    groups: dict[str, int] = {}
    for key in graph:
        if key not in groups:
            number = len(groups)
            groups.update(dict.fromkeys(nx.node_connected_component(graph, key), number))
    return groups


def _big(task: Task) -> list[Task]:
    return [each for each in task.inputs if not each.is_small]


def _is_stored(task: Task) -> bool:
    """Whether a task's value lives in the store, not in strips."""
    return task.is_small or task.op.cut == "whole"


def _is_step_fold(task: Task) -> bool:
    return task.op.cut == "fold" and bool(_big(task))


def _levels(tasks: Iterable[Task]) -> dict[str, int]:
    """The first level of passes in which a value can be used."""
    levels: dict[str, int] = {}
    for task in tasks:
        level = max((levels[each.key] for each in task.inputs), default=0)
        levels[task.key] = level + (_is_stored(task) and bool(_big(task)))
    return levels


def _drafts(tasks: Sequence[Task], roots: Sequence[Task]) -> tuple[list[_Draft], dict[str, _Place]]:
    """The passes by what they end in, and for each value in the store the pass that makes it."""
    groups, levels = _groups(tasks), _levels(tasks)
    drafts: dict[_Place, _Draft] = {}
    homes: dict[str, _Place] = {}

    def draft(task: Task, level: int) -> _Draft:
        place = (groups[task.key], level, task.spec.numel, task.spec.row)
        return drafts.setdefault(place, _Draft(place))

    for task in tasks:
        if not _is_stored(task):
            continue
        big = _big(task)
        level = max((levels[each.key] for each in task.inputs), default=0)
        if _is_step_fold(task):
            chosen = draft(big[0], level)
            chosen.folds[task.key] = task
            homes[task.key] = chosen.place
            continue
        places = [homes[each.key] for each in task.inputs if each.key in homes]
        for each in big:
            if not _is_stored(each):
                chosen = draft(each, level)
                chosen.keeps[each.key] = each
                places.append(chosen.place)
        homes[task.key] = max(places, key=_line_order)
        drafts[homes[task.key]].then.append(task)
    for number, task in enumerate(roots):
        chosen = draft(task, levels[task.key])
        chosen.written[task.key] = task
        chosen.writes.setdefault(task.key, []).append(number)
    return sorted(drafts.values(), key=lambda each: _line_order(each.place)), homes


def _line_order(place: _Place) -> tuple[int, ...]:
    """An order in which every pass stands after those that it needs: by level, then by group."""
    group, level, *shape = place
    return level, group, *shape


def _trace(unit: Sequence[_Draft]) -> None:
    """Find the steps of each pass: what its ends are made of, down to loads and the store."""
    kept: dict[str, Task] = {}
    for draft in unit:
        draft.steps, draft.held = [], {}
        seen: set[str] = set()
        ends = (*draft.written.values(), *draft.keeps.values(), *draft.folds.values())
        stack = [(task, False) for task in reversed(ends)]
        while stack:
            task, opened = stack.pop()
            if opened:
                draft.steps.append(task)
            elif task.key not in seen:
                seen.add(task.key)
                if task.key in kept or (_is_stored(task) and task.key not in draft.folds):
                    draft.held[task.key] = task
                else:
                    stack.append((task, True))
                    stack.extend((each, False) for each in reversed(_big(task)))
        kept.update(draft.keeps)


def _units(drafts: Sequence[_Draft], homes: Mapping[str, _Place]) -> list[list[_Draft]]:
    """Passes of a group on end, broken where a level waits for another group; in running order."""
    levels: dict[tuple[int, int], list[_Draft]] = {}
    for draft in drafts:
        levels.setdefault(draft.place[:2], []).append(draft)
    parts: list[list[_Draft]] = []
    open_part: dict[int, list[_Draft]] = {}
    for (group, _), level in sorted(levels.items()):
        for draft in level:
            _trace([draft])
        foreign = any(home[0] != group for draft in level for home in _origins(draft, homes))
        if group not in open_part or foreign:
            open_part[group] = []
            parts.append(open_part[group])
        open_part[group] += level
    return _in_running_order(parts, homes)


def _in_running_order(parts: list[list[_Draft]], homes: Mapping[str, _Place]) -> list[list[_Draft]]:
    """Each part after those it needs, and otherwise in the order of the outputs."""
    part_of = {draft.place: i for i, part in enumerate(parts) for draft in part}
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(parts)))
    for i, part in enumerate(parts):
        needed = {part_of[home] for draft in part for home in _origins(draft, homes)} - {i}
        graph.add_edges_from((other, i) for other in needed)
    return [parts[i] for i in nx.lexicographical_topological_sort(graph)]


def _origins(draft: _Draft, homes: Mapping[str, _Place]) -> set[_Place]:
    """The passes that make what a pass takes from the store."""
    return {homes[task.key] for task in draft.needed() if task.key in homes}


def _lasting(
    units: Sequence[Sequence[_Draft]], homes: Mapping[str, _Place], unit_of: Mapping[_Place, int]
) -> dict[str, Task]:
    """Values that units other than their own need; they stay in the store to the end."""
    return {
        task.key: task
        for i, unit in enumerate(units)
        for draft in unit
        for task in draft.needed()
        if task.key in homes and unit_of[homes[task.key]] != i
    }


def _keep_by_choice(unit: Sequence[_Draft], allowance: int, lasting: Collection[str]) -> None:
    """Keep inputs that would be read again, small ones first, while the allowance lasts."""
    readers: dict[str, list[_Draft]] = {}
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


def _finished(unit: Sequence[_Draft], lasting: Collection[str]) -> tuple[tuple[Pass, ...], int]:
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
            peak = max(peak, stored + task.op.copies * largest * max(_FLOAT, task.spec.itemsize))
            stored += 0 if task.key in lasting else sizes[task.key]
        frees = tuple(key for key in sizes if last[key] == i and key not in lasting)
        peak = max(peak, stored)
        stored -= sum(sizes[key] for key in frees)
        passes.append(_pass(draft, frees))
    return tuple(passes), peak


def _pass(draft: _Draft, frees: tuple[str, ...]) -> Pass:
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


def _drops(draft: _Draft) -> tuple[tuple[str, ...], ...]:
    """For each step the strips that it is the last to need, its own included."""
    last = {task.key: i for i, task in enumerate(draft.steps)}
    for i, task in enumerate(draft.steps):
        last.update((each.key, i) for each in _big(task) if each.key in last)
    ends: list[list[str]] = [[] for _ in draft.steps]
    for key, i in last.items():
        ends[i].append(key)
    return tuple(map(tuple, ends))


def _strip_nbytes(draft: _Draft, drops: Sequence[Sequence[str]], numel: int) -> int:
    """The most that one worker has in hand for a strip, results waiting for their turn included."""
    live: dict[str, int] = {}
    peak = 0
    for task, dropped in zip(draft.steps, drops, strict=True):
        is_fold = task.key in draft.folds
        own = task.spec.nbytes if is_fold else numel * task.spec.itemsize
        peak = max(peak, sum(live.values()) + own + task.op.copies * numel * _FLOAT)
        live[task.key] = 0 if is_fold else own
        for key in dropped:
            del live[key]
    waiting = sum(task.spec.nbytes for task in draft.folds.values())
    waiting += sum(numel * task.spec.itemsize for task in draft.written.values())
    return peak + (WINDOW + 1) * waiting
