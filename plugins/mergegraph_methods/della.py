"""DELLA: drop entries at random, small ones more often (arXiv:2406.11617)."""

from collections.abc import Iterable, Sequence
from typing import Annotated

from mergegraph import Between, MergeGraphError, Method, PerModel, Task, hookimpl, method
from mergegraph.ops import prune_by_rank
from mergegraph_methods.task_vectors import INT8_MASK, Fraction, elected, fused, task_vectors

HalfWidth = Annotated[float, Between(0, 0.5)]


@method(without_effect=INT8_MASK)
def della(
    base: Task,
    models: list[Task],
    *,
    weight: PerModel[float],
    density: PerModel[Fraction] = 1.0,
    epsilon: PerModel[HalfWidth] = 0.15,
    normalize: bool = True,
    rescale: bool = True,
    lambda_: float = 1.0,
    seeds: PerModel[int],
) -> Task:
    """Drop small changes more often than large ones, enlarge the rest, settle signs by vote.

    In each row the keep probability p falls from density+epsilon (largest entry) to
    density−epsilon; survivors are divided by their own p; then vote and mean as in TIES.

    weight: share of each model in the vote and in the mean.
    density: mean probability that an entry is kept; 1 keeps all, whatever epsilon is.
    epsilon: half the width of the window of probabilities; density ± epsilon must lie in (0, 1).
    normalize: divide by the weights that agree.
    rescale: divide each kept entry by its keep probability.
    lambda: strength of the merged task vector; the authors use 1.1.
    """
    deltas = _dropped(base, models, density, epsilon, seeds, rescale)
    return elected(base, deltas, weight, normalize=normalize, scale=lambda_)


@method(without_effect=INT8_MASK)
def della_linear(
    base: Task,
    models: list[Task],
    *,
    weight: PerModel[float],
    density: PerModel[Fraction] = 1.0,
    epsilon: PerModel[HalfWidth] = 0.15,
    normalize: bool = False,
    rescale: bool = True,
    lambda_: float = 1.0,
    seeds: PerModel[int],
) -> Task:
    """Drop small changes more often than large ones, enlarge the rest, then task arithmetic.

    Pruning as in della; θ = θ₀ + λ·Σ wᵢ·τ̃ᵢ.

    weight: share of each model.
    density: mean probability that an entry is kept; 1 keeps all, whatever epsilon is.
    epsilon: half the width of the window of probabilities; density ± epsilon must lie in (0, 1).
    normalize: divide by the sum of the weights.
    rescale: divide each kept entry by its keep probability.
    lambda: strength of the sum.
    """
    deltas = _dropped(base, models, density, epsilon, seeds, rescale)
    return fused(base, deltas, weight, normalize=normalize, scale=lambda_)


def _dropped(
    base: Task,
    models: Sequence[Task],
    density: Sequence[float],
    epsilon: Sequence[float],
    seeds: Sequence[int],
    rescale: bool,  # noqa: FBT001 - a parameter of the recipe
) -> list[Task]:
    for kept, half in zip(density, epsilon, strict=True):
        if 0 < kept < 1 and half and not half < min(kept, 1 - kept):
            raise MergeGraphError(
                f"density {kept:g} ± epsilon {half:g} leaves the open range from 0 to 1; "
                f"use an epsilon below {min(kept, 1 - kept):g}"
            )
    return [
        prune_by_rank(each, density=kept, epsilon=half, seed=seed, rescale=rescale)
        for each, kept, half, seed in zip(
            task_vectors(base, models), density, epsilon, seeds, strict=True
        )
    ]


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer della and della_linear."""
    return [della, della_linear]
