"""Measuring: what a reading of the inputs tells of their differences, and of what merges keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.trees import OnBytes
from mergegraph.kinship import Kinship, TensorSums
from mergegraph.kinship.kinds import kind_of
from mergegraph.kinship.members import Members
from mergegraph.kinship.metrics import Sums
from mergegraph.kinship.shared import Shared, shared_of
from mergegraph.library import Library
from mergegraph.models.model import Model
from mergegraph.names import layer_of
from mergegraph.ops.arithmetic import cast, delta
from mergegraph.ops.folds import sign_conflicts
from mergegraph.ops.moments import moments, moments_of
from mergegraph.ops.order import count_zeros
from mergegraph.planning.planned import whole_plan
from mergegraph.planning.planner import expanded
from mergegraph.plans import Output
from mergegraph.report.gathering import Looked, Merge
from mergegraph.running.execute import Progress, execute
from mergegraph.running.fetching import fetch, needed, streamed
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import Schedule, make_schedule
from mergegraph.settings import Settings
from mergegraph.stages.outline import Part
from mergegraph.stages.stage import Explained
from mergegraph.tasks import Task, walk

_MEMORY = expanded("measured")  # where values go that are not written

Values = Mapping[str, Any]  # flat tensors by what was asked for


@dataclass(frozen=True)
class Kept:
    """Of one tensor in one merge: where changes disagree, and how much of each is kept.

    `pruned` has for each model that is pruned how many entries of its change are not zero, before
    and after.
    """

    name: str
    numel: int
    conflicts: int | None = None
    contested: int | None = None
    conflicts_after: int | None = None
    pruned: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What a reading has come to: the models' differences, and each merge by its place."""

    family: Kinship | None
    kept: Mapping[int, tuple[Kept, ...]]
    read_nbytes: int
    seconds: float = 0.0


@dataclass(frozen=True)
class _Asked:
    """A value to be computed; what is done with it is known by who asked."""

    name: str
    task: Task


@dataclass(frozen=True)
class Reading:
    """A reading of the inputs, planned."""

    looked: Looked
    names: tuple[str, ...]
    base: Model | None
    shared: tuple[Shared, ...]
    notes: tuple[str, ...]
    schedule: Schedule
    library: Library
    plan: Any


def plan_reading(
    looked: Looked, family: Mapping[str, Model], base: Model | None, settings: Settings
) -> Reading:
    """Plan one reading of the inputs for everything that is to be measured.

    Raises MergeGraphError if the budget will not do.
    """
    shared, notes = _side_by_side(family, base)
    asked = [_Asked(f"moments {each.name}", moments(*each.tasks)) for each in shared]
    for i, merge in enumerate(looked.merges):
        asked += _of_merge(i, merge)
    outputs = [Output(_MEMORY, each.name, each.task) for each in asked]
    plan = whole_plan(outputs, (), (), looked.library)
    schedule = make_schedule(
        plan, budget=settings.budget, threads=settings.workers, reserve=settings.reserve(plan)
    )
    return Reading(looked, tuple(family), base, shared, notes, schedule, looked.library, plan)


def measure(
    reading: Reading,
    *,
    is_streamed: bool = False,
    progress: Progress | None = None,
    fetching: OnBytes | None = None,
) -> Measured:
    """Read the inputs in strips; raises RunError if that fails."""
    wanted = needed(reading.plan, reading.schedule, (), is_streamed=is_streamed)
    fetch(wanted, fetching or (lambda _nbytes: None))
    sinks = [TensorSink(each.task.spec) for each in reading.schedule.outputs]
    with streamed(wanted, reading.schedule) as streams:
        execute(reading.schedule, sinks, progress, streams=streams)
    pairs = zip(reading.schedule.outputs, sinks, strict=True)
    values = {each.name: sink.tensor.flatten() for each, sink in pairs}
    kept = {i: tuple(_kept(i, merge, values)) for i, merge in enumerate(reading.looked.merges)}
    return Measured(_kinship(reading, values), kept, reading.schedule.read_nbytes)


# -- models against their base ---------------------------------------------------------------


def _side_by_side(
    family: Mapping[str, Model], base: Model | None
) -> tuple[tuple[Shared, ...], tuple[str, ...]]:
    """The tensors that all have, and notes on others; why there are none is a note, too."""
    if base is None or not family:
        return (), ()
    models = tuple(replace(each, reference=name) for name, each in family.items())
    try:
        return shared_of(Members(base, models, ()))
    except MergeGraphError as error:
        return (), (f"The models cannot be compared: {error}",)


def _kinship(reading: Reading, values: Mapping[str, Any]) -> Kinship | None:
    """How alike the models are; None where they cannot be compared."""
    if not reading.shared or reading.base is None:
        return None
    count, tensors = len(reading.names), []
    spoiled: dict[tuple[str, ...], list[str]] = {}
    for each in reading.shared:
        found = _sums(each, values[f"moments {each.name}"], count)
        squares = [found.sums.base, *(row[i] for i, row in enumerate(found.sums.dots))]
        names = (reading.base.reference, *reading.names)
        whose = tuple(n for n, x in zip(names, squares, strict=True) if not isfinite(x))
        if whose:
            spoiled.setdefault(whose, []).append(each.name)
        else:
            tensors.append(found)
    notes = [
        f"{len(found)} tensors are left out, such as {found[0]}: NaN or infinite in {whose[0]}."
        for whose, found in spoiled.items()
    ]
    told = (*reading.notes, *notes)
    return Kinship(reading.base.reference, reading.names, tuple(tensors), told)


def _sums(shared: Shared, value: Any, count: int) -> TensorSums:
    found = moments_of(value, count)
    tables = (tuple(map(tuple, each.tolist())) for each in (found.dots, found.same, found.opposite))
    dots, same, opposite = tables
    layer = layer_of(shared.name)
    return TensorSums(
        shared.name,
        kind_of(shared.name),
        f"{layer.stack}.{layer.index}" if layer else None,
        Sums(
            entries=shared.tasks[0].spec.numel,
            base=found.base,
            sums=tuple(found.sums.tolist()),
            dots=dots,
            same=same,
            opposite=opposite,
        ),
    )


# -- what merges keep ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Steps:
    """The differences that a merge of one tensor is made of, and what it prunes of each."""

    deltas: tuple[Task, ...]
    pruned: Mapping[int, tuple[Task, Task]]


def _of_merge(number: int, merge: Merge) -> Iterator[_Asked]:
    for name, told in merge.merged:
        steps = _steps(merge, name, told)
        if len(steps.deltas) > 1:
            yield _Asked(f"conflicts {number} {name}", sign_conflicts(*steps.deltas))
        for i, (before, after) in steps.pruned.items():
            yield _Asked(f"before {number} {i} {name}", count_zeros(before))
            yield _Asked(f"after {number} {i} {name}", count_zeros(after))
        if len(steps.pruned) > 1:
            after_all = [after for _, after in steps.pruned.values()]
            yield _Asked(f"conflicts after {number} {name}", sign_conflicts(*after_all))


def _kept(number: int, merge: Merge, values: Values) -> Iterator[Kept]:
    for name, told in merge.merged:
        steps = _steps(merge, name, told)
        numel = merge.tensors[name].spec.numel
        conflicts, contested = values.get(f"conflicts {number} {name}", (None, None))
        (after, _) = values.get(f"conflicts after {number} {name}", (None, None))
        pruned = {
            i: (
                numel - int(values[f"before {number} {i} {name}"][0]),
                numel - int(values[f"after {number} {i} {name}"][0]),
            )
            for i in steps.pruned
        }
        yield Kept(name, numel, _count(conflicts), _count(contested), _count(after), pruned)


def _count(value: float | None) -> int | None:
    return None if value is None else int(value)


def _steps(merge: Merge, name: str, told: Explained) -> _Steps:
    """What to look at in the making of a tensor; nothing where shapes are changed on the way."""
    spec = merge.tensors[name].spec
    parts = [_task(part) for part in told.parts]
    base = None if told.base is None else _task(told.base)
    if base is None or any(each.spec.shape != spec.shape for each in (base, *parts)):
        return _Steps((), {})
    deltas = tuple(delta(cast(each, "float32"), cast(base, "float32")) for each in parts)
    places = {each.key: i for i, each in enumerate(parts)}
    pruned: dict[int, tuple[Task, Task]] = {}
    for task in walk(merge.tensors[name], above=[base, *parts]):
        if task.op.prunes and task.spec.shape == spec.shape:
            before = _unpruned(task)
            place = _place(before, places)
            if place is not None:
                pruned[place] = (before, task)
    return _Steps(deltas, pruned)


def _task(part: Part) -> Task:
    return part.model.tensors[part.name]


def _unpruned(task: Task) -> Task:
    """What was there before anything was pruned of it."""
    while task.op.prunes:
        task = task.inputs[0]
    return task


def _place(task: Task, places: Mapping[str, int]) -> int | None:
    """The model that a difference is of: what its first inputs lead to."""
    while task.inputs and task.key not in places:
        task = task.inputs[0]
    return places.get(task.key)


def named_places(merge: Merge) -> Sequence[str]:
    """The models of a merge by the names that the recipe has, in order."""
    found: dict[str, None] = {}
    for _, told in merge.merged:
        found.update(dict.fromkeys(part.source.model for part in told.parts))
    return list(found)
