"""Drafts of passes: which tasks can share one reading of their inputs, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from mergegraph.tasks import Task

# A pass is known by its place: group, level, entries of its tensors, entries of a row.
Place = tuple[int, int, int, int]


@dataclass
class Draft:
    """A pass by what it ends in: strips written, folded or kept, and what is computed after it."""

    place: Place
    writes: dict[str, list[int]] = field(default_factory=dict)
    written: dict[str, Task] = field(default_factory=dict)
    folds: dict[str, Task] = field(default_factory=dict)
    keeps: dict[str, Task] = field(default_factory=dict)
    then: list[Task] = field(default_factory=list)


@dataclass(frozen=True)
class Route:
    """A draft with the steps to its ends, from loads and from values held in the store.

    `keeps` are the draft's own and those kept so that later passes hold them, but for what is kept
    already.
    """

    draft: Draft
    keeps: Mapping[str, Task]
    steps: tuple[Task, ...]
    held: Mapping[str, Task]

    def needed(self) -> Iterator[Task]:
        """Values it takes from the store, for its strips or afterwards."""
        yield from self.held.values()
        for task in self.steps:
            yield from (each for each in task.inputs if is_stored(each))
        for task in self.draft.then:
            yield from task.inputs


def _groups(tasks: Iterable[Task]) -> dict[str, int]:
    """The group of each task: big tensors made of one another, or of the same inputs."""
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while leader[key] != key:
            leader[key] = key = leader[leader[key]]
        return key

    for task in tasks:
        leader[task.key] = task.key
        for each in big_inputs(task):
            leader[find(each.key)] = find(task.key)
    numbers: dict[str, int] = {}
    return {key: numbers.setdefault(find(key), len(numbers)) for key in leader}


def big_inputs(task: Task) -> list[Task]:
    """The inputs that come in strips, or with them."""
    return [each for each in task.inputs if not each.is_small]


def is_stored(task: Task) -> bool:
    """Whether a task's value lives in the store, not in strips."""
    return task.is_small or task.op.cut == "whole"


def _is_step_fold(task: Task) -> bool:
    return task.op.cut == "fold" and bool(big_inputs(task))


def _levels(tasks: Iterable[Task]) -> dict[str, int]:
    """The first level of passes in which a value can be used; 0 of what is known before them."""
    levels: dict[str, int] = {}
    for task in tasks:
        level = max((levels.get(each.key, 0) for each in task.inputs), default=0)
        levels[task.key] = level + (is_stored(task) and bool(big_inputs(task)))
    return levels


def make_drafts(
    tasks: Sequence[Task], roots: Sequence[Task]
) -> tuple[list[Draft], dict[str, Place]]:
    """The passes by what they end in, and for each value in the store the pass that makes it."""
    groups, levels = _groups(tasks), _levels(tasks)
    drafts: dict[Place, Draft] = {}
    homes: dict[str, Place] = {}

    def draft(task: Task, level: int) -> Draft:
        place = (groups[task.key], level, task.spec.numel, task.spec.row)
        return drafts.setdefault(place, Draft(place))

    for task in tasks:
        if not is_stored(task):
            continue
        big = big_inputs(task)
        level = max((levels.get(each.key, 0) for each in task.inputs), default=0)
        if _is_step_fold(task):
            chosen = draft(next(each for each in big if not each.is_scan), level)
            chosen.folds[task.key] = task
            homes[task.key] = chosen.place
            continue
        places = [homes[each.key] for each in task.inputs if each.key in homes]
        for each in big:
            if not is_stored(each):
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


def _line_order(place: Place) -> tuple[int, ...]:
    """An order in which every pass stands after those that it needs: by level, then by group.

    Of one level the longest comes first: it sees all entries of what shorter ones may hold.
    """
    group, level, numel, row = place
    return level, group, -numel, row


@dataclass(frozen=True)
class Standing:
    """What a unit holds that others kept for it, and what its passes are to keep for later ones."""

    held: Mapping[str, Task]
    kept: Mapping[Place, Sequence[Task]]


ALONE = Standing(MappingProxyType({}), MappingProxyType({}))


def trace(unit: Sequence[Draft], standing: Standing = ALONE) -> list[Route]:
    """The routes of passes that run one after another, if each keeps some values for the others."""
    stored = dict(standing.held)
    routes = []
    for draft in unit:
        wanted = (*draft.keeps.values(), *standing.kept.get(draft.place, ()))
        keeps = {task.key: task for task in wanted if task.key not in stored}
        routes.append(_route(draft, keeps, stored))
        stored.update(keeps)
    return routes


def _route(draft: Draft, keeps: Mapping[str, Task], stored: Mapping[str, Task]) -> Route:
    """What the ends of a pass are made of, down to loads and the store."""
    steps, held = [], {}
    seen: set[str] = set()
    own = [task for key, task in draft.keeps.items() if key in keeps]
    ends = (*draft.written.values(), *own, *draft.folds.values(), *keeps.values())
    stack = [(task, False) for task in reversed(ends)]
    while stack:
        task, opened = stack.pop()
        if opened:
            steps.append(task)
        elif task.key not in seen:
            seen.add(task.key)
            if task.key in stored or (is_stored(task) and task.key not in draft.folds):
                held[task.key] = task
            else:
                stack.append((task, True))
                stack.extend((each, False) for each in reversed(big_inputs(task)))
    return Route(draft, keeps, tuple(steps), held)


def make_units(drafts: Sequence[Draft], homes: Mapping[str, Place]) -> list[list[Draft]]:
    """Passes of a group on end, broken where one waits for another group; in running order."""
    levels: dict[tuple[int, int], list[Draft]] = {}
    for draft in drafts:
        levels.setdefault(draft.place[:2], []).append(draft)
    parts: list[list[Draft]] = []
    open_part: dict[int, list[Draft]] = {}
    for (group, _), level in sorted(levels.items()):
        foreign = any(home[0] != group for draft in level for home in _needed(draft, homes))
        if group not in open_part or foreign:
            open_part[group] = []
            parts.append(open_part[group])
        open_part[group] += level
    return _in_running_order(parts, homes)


def _in_running_order(parts: list[list[Draft]], homes: Mapping[str, Place]) -> list[list[Draft]]:
    """Each part after those it needs, and otherwise in the order of the outputs."""
    import networkx as nx

    part_of = {draft.place: i for i, part in enumerate(parts) for draft in part}
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(parts)))
    for i, part in enumerate(parts):
        needed = {part_of[home] for draft in part for home in _needed(draft, homes)} - {i}
        graph.add_edges_from((other, i) for other in needed)
    return [parts[i] for i in nx.lexicographical_topological_sort(graph)]


def _needed(draft: Draft, homes: Mapping[str, Place]) -> set[Place]:
    """The passes that make what a pass, were it alone, takes from the store."""
    return origins(trace([draft])[0], homes)


def origins(route: Route, homes: Mapping[str, Place]) -> set[Place]:
    """The passes that make what a pass takes from the store."""
    return {homes[task.key] for task in route.needed() if task.key in homes}
