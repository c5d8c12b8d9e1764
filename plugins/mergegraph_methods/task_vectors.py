"""What methods on task vectors have in common: prune each, then fuse with or without election."""

from collections.abc import Sequence
from typing import Annotated

from mergegraph import Between, MergeGraphError, Task
from mergegraph.ops import delta, elect, fuse, fuse_elected
from mergegraph.ops.fusion import Election

Fraction = Annotated[float, Between(0, 1)]

CANCELLED = 1e-8  # a sum of weights below this is not divided by

INT8_MASK = {"int8_mask": "mergekit keeps masks in 8 bits with it; here no mask is kept"}


def task_vectors(base: Task, models: Sequence[Task]) -> list[Task]:
    """Model − base of each model."""
    return [delta(model, base) for model in models]


def check_weights(weights: Sequence[float]) -> None:
    """Refuse weights that cancel, where their sum is to be divided by."""
    if abs(sum(weights)) < CANCELLED:
        raise MergeGraphError("the weights add up to 0, so they cannot be normalized")


def fused(
    base: Task, deltas: Sequence[Task], weights: Sequence[float], *, normalize: bool, scale: float
) -> Task:
    """The base plus the weighted sum, or mean, of all task vectors; the base if all weigh 0."""
    if not any(weights):
        return base
    if normalize:
        check_weights(weights)
    return fuse(base, *deltas, weights=weights, normalize=normalize, scale=scale)


def elected(
    base: Task,
    deltas: Sequence[Task],
    weights: Sequence[float],
    *,
    normalize: bool,
    scale: float,
    by: Election = "sum",
) -> Task:
    """The base plus the sum, or mean, of the task vectors that have the elected sign."""
    if not deltas:
        return base
    signs = elect(*deltas, weights=weights, by=by)
    return fuse_elected(base, signs, *deltas, weights=weights, normalize=normalize, scale=scale)
