"""Measuring: what a reading of the inputs tells of their differences, and of what merges keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.trees import OnBytes
from mergegraph.kinship import Kinship
from mergegraph.kinship.members import Members
from mergegraph.kinship.reading import compiling, make_reading, outputs_of, spoilers, sums_of
from mergegraph.kinship.shared import Shared, shared_of
from mergegraph.models.model import Model
from mergegraph.ops.arithmetic import cast, delta
from mergegraph.ops.folds import sign_conflicts
from mergegraph.ops.order import count_zeros
from mergegraph.planning.planned import whole_plan
from mergegraph.plans import Output
from mergegraph.report.gathering import Looked, Merge
from mergegraph.running.execute import Progress
from mergegraph.running.fetching import fetch
from mergegraph.running.reading import Reading, in_memory, read
from mergegraph.settings import Settings
from mergegraph.stages.outline import Part
from mergegraph.stages.stage import Explained
from mergegraph.tasks import Task, walk

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


@dataclass(frozen=True)
class Survey:
    """What is to be measured, and the reading of the inputs for it, planned."""

    looked: Looked
    names: tuple[str, ...]
    base: Model | None
    shared: tuple[Shared, ...]
    notes: tuple[str, ...]
    reading: Reading


def survey(
    looked: Looked, family: Mapping[str, Model], base: Model | None, settings: Settings
) -> Survey:
    """Plan one reading of the inputs for everything that is to be measured.

    Raises MergeGraphError if the budget will not do.
    """
    shared, notes = _side_by_side(family, base)
    outputs = outputs_of(shared)
    for i, merge in enumerate(looked.merges):
        outputs += _of_merge(i, merge)
    plan = whole_plan(outputs, (), (), looked.library)
    reading = make_reading(plan, shared, settings)
    return Survey(looked, tuple(family), base, shared, notes, reading)


def measure(
    made: Survey, progress: Progress | None = None, fetching: OnBytes | None = None
) -> Measured:
    """Read the inputs in strips; raises RunError if that fails."""
    reading = made.reading
    with compiling(reading, len(made.names)):
        fetch(reading.wanted, fetching)
    found = read(reading, progress)
    outputs = zip(reading.plan.outputs, found, strict=True)
    values = {each.name: value.flatten() for each, value in outputs}
    kept = {i: tuple(_kept(i, merge, values)) for i, merge in enumerate(made.looked.merges)}
    return Measured(_kinship(made, found[: len(made.shared)]), kept)


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


def _kinship(made: Survey, values: Sequence[Any]) -> Kinship | None:
    """How alike the models are; None where they cannot be compared."""
    if not made.shared or made.base is None:
        return None
    base, tensors = made.base.reference, []
    spoiled: dict[tuple[str, ...], list[str]] = {}
    for each, value in zip(made.shared, values, strict=True):
        found = sums_of(each, value)
        if who := spoilers(found.sums, base, made.names):
            spoiled.setdefault(who, []).append(each.name)
        else:
            tensors.append(found)
    notes = [
        f"{len(found)} tensors are left out, such as {found[0]}: NaN or infinite in {who[0]}."
        for who, found in spoiled.items()
    ]
    return Kinship(base, made.names, tuple(tensors), (*made.notes, *notes))


# -- what merges keep ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Steps:
    """The differences that a merge of one tensor is made of, and what it prunes of each."""

    deltas: tuple[Task, ...]
    pruned: Mapping[int, tuple[Task, Task]]


def _of_merge(number: int, merge: Merge) -> Iterator[Output]:
    for name, told in merge.merged:
        steps = _steps(merge, name, told)
        if len(steps.deltas) > 1:
            yield in_memory(f"conflicts {number} {name}", sign_conflicts(*steps.deltas))
        for i, (before, after) in steps.pruned.items():
            yield in_memory(f"before {number} {i} {name}", count_zeros(before))
            yield in_memory(f"after {number} {i} {name}", count_zeros(after))
        if len(steps.pruned) > 1:
            after_all = [after for _, after in steps.pruned.values()]
            yield in_memory(f"conflicts after {number} {name}", sign_conflicts(*after_all))


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
