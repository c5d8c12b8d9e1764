"""NuSLERP: SLERP with a weight for each model, of whole tensors, rows or columns."""

from collections.abc import Iterable
from typing import Literal
from warnings import warn

from mergegraph import (
    Between,
    MergeGraphError,
    MergeWarning,
    Method,
    PerModel,
    Task,
    hookimpl,
    method,
)
from mergegraph.ops import combine, fuse, gram
from mergegraph_methods.parts.arcs import (
    arc_weights,
    by_column,
    by_row,
    column_dots,
    column_weights,
)
from mergegraph_methods.parts.task_vectors import task_vectors

Mode = Literal["flatten", "last", "first"]
CANCELLED = 1e-6  # weights that add up to less than this share evenly


def _mode(mode: Mode | None, *, flatten: bool, row_wise: bool) -> Mode:
    """What mergekit's switches say, if they say anything, and the mode must not contradict it."""
    said: Mode = "flatten" if flatten else "first" if row_wise else "last"
    if mode not in (None, said) and not flatten:
        raise MergeGraphError(f"mode {mode} contradicts nuslerp_flatten; leave one of them out")
    return mode or said


def _joined(first: Task, second: Task, mode: Mode, t: float) -> Task:
    if mode == "flatten":
        return combine(first, second, arc_weights(gram(first, second), t=t))
    if mode == "last":
        return by_row(first, second, t=t)
    dots = column_dots(first, second, columns=first.spec.row)
    return by_column(first, second, column_weights(dots, t=t))


@method(group="averaging", counts=Between(2, 2))
def nuslerp(
    models: list[Task],
    base: Task | None = None,
    *,
    weight: PerModel[float],
    mode: Mode | None = None,
    nuslerp_flatten: bool = True,
    nuslerp_row_wise: bool = False,
) -> Task:
    """Interpolate two models on the sphere by their weights, as whole tensors, rows or columns.

    θ = [sin((1−t)Ω)·a + sin(tΩ)·b] / sin Ω, t = w_b/(w_a + w_b), Ω the angle between a and b. With
    a base, a and b are the task vectors, and the base is added. Vectors that are (anti)parallel,
    or zero, are joined by a line.

    With a base the directions of the two changes are joined, which is where fine-tunings of one
    base differ; without one, their weights are nearly parallel.

    weight: share of each model; weights that cancel share evenly.
    mode: what is one vector: `flatten` the tensor, `last` each row, `first` each column.
    nuslerp_flatten: mergekit's word for mode `flatten`; false is mode `last`.
    nuslerp_row_wise: with nuslerp_flatten false, mode `first`, as mergekit does despite the name.
    """
    first, second = task_vectors(base, models) if base else models
    sum_of_weights = sum(weight)
    t = 0.5 if abs(sum_of_weights) < CANCELLED else weight[1] / sum_of_weights
    if t == 0.5 and weight[0] != weight[1]:  # noqa: PLR2004
        warn("the weights cancel: both models count the same", MergeWarning, 2)
    elif not 0 <= t <= 1:
        warn(f"weights of both signs lead beyond the models, to t = {t:.3g}", MergeWarning, 2)
    chosen = _mode(mode, flatten=nuslerp_flatten, row_wise=nuslerp_row_wise)
    has_rows = len(first.spec.shape) > 1 and first.spec.numel > 0
    joined = _joined(first, second, chosen if has_rows else "flatten", t)
    return joined if base is None else fuse(base, joined, weights=(1.0,))


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer nuslerp."""
    return [nuslerp]
