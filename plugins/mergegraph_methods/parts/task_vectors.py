"""What methods on task vectors have in common: prune each, then fuse with or without election."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from warnings import warn

from mergegraph import Between, MergeGraphError, MergeWarning, Request, Task
from mergegraph.ops import bounds_across, delta, elect, fuse, fuse_elected, settle
from mergegraph.ops.fusion import Election
from mergegraph.ops.order import kept_count

Fraction = Annotated[float, Between(0, 1)]

CANCELLED = 1e-8  # a sum of weights below this is not divided by,
LOST = 1e-6  # nor one that is below this share of them: in float32 it is little but rounding
FAINT = 0.1  # below this share of them what is divided by it grows past what was meant

INT8_MASK = {"int8_mask": "mergekit keeps masks in 8 bits with it; here no mask is kept"}


def task_vectors(base: Task | None, models: Sequence[Task]) -> list[Task]:
    """Model − base of each model."""
    assert base is not None, "the engine calls methods that need a base with one"
    return [delta(model, base) for model in models]


def check_weights(weights: Sequence[float]) -> None:
    """Refuse weights that cancel, where their sum is to be divided by."""
    total, size = abs(sum(weights)), sum(map(abs, weights))
    if total < max(CANCELLED, LOST * size):
        told = "the weights add up to 0, or nearly, so they cannot be normalized"
        raise MergeGraphError(f"{told}; change them, or set normalize to false")
    if total < FAINT * size:
        fact = f"the weights cancel but for {sum(weights):.3g}, and are divided by it"
        warn(f"{fact}: every model counts {1 / total:.3g} times its weight", MergeWarning, 2)


def fused(
    base: Task, deltas: Sequence[Task], weights: Sequence[float], *, normalize: bool, scale: float
) -> Task:
    """The base plus the weighted sum, or mean, of all task vectors; the base if all weigh 0."""
    if not any(weights):
        warn("all weights are 0: the result is the base", MergeWarning, 2)
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
    tie: Literal["positive", "zero", "majority"] = "positive",
    majority: Task | None = None,
) -> Task:
    """The base plus the sum, or mean, of the task vectors that have the elected sign."""
    if not deltas:
        return base
    signs = elect(*deltas, weights=weights, by=by, tie="positive" if tie == "positive" else "zero")
    if majority is not None:
        signs = settle(signs, majority)
    return fuse_elected(base, signs, *deltas, weights=weights, normalize=normalize, scale=scale)


def agreed(requests: Sequence[Request], name: str) -> Any:
    """The value of a parameter, which is to be the same for all tensors; raises if it is not."""
    found = requests[0].values[name] if requests else None
    if any(each.values[name] != found for each in requests):
        fact = f"{name} differs from tensor to tensor, and models are looked at as a whole"
        raise MergeGraphError(f"{fact}; give it one value")
    return found


def bounds_of_models(requests: Sequence[Request]) -> list[tuple[Task, ...]]:
    """For each tensor, and each model in it, the bounds of the model's largest entries."""
    density: Sequence[float] = agreed(requests, "density")
    deltas = [task_vectors(each.base, each.models) for each in requests]
    numel = sum(own[0].spec.numel for own in deltas)
    by_model = [
        bounds_across([own[i] for own in deltas], keep=kept_count(kept, numel))
        for i, kept in enumerate(density)
    ]
    return list(zip(*by_model, strict=True))
