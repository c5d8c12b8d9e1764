"""DARE: drop entries at random and rescale the rest (arXiv:2311.03099)."""

from collections.abc import Iterable, Sequence
from typing import Literal

from mergegraph import Method, PerModel, Task, hookimpl, method
from mergegraph.ops import prune_at_random, rescale_to
from mergegraph_methods.task_vectors import INT8_MASK, Fraction, elected, fused, task_vectors

Rescale = bool | Literal["l1"]


@method(without_effect=INT8_MASK)
def dare_linear(
    base: Task,
    models: list[Task],
    *,
    weight: PerModel[float],
    density: PerModel[Fraction] = 1.0,
    normalize: bool = False,
    rescale: Rescale = True,
    lambda_: float = 1.0,
    seeds: PerModel[int],
) -> Task:
    """Drop most changes at random, enlarge the rest, then task arithmetic.

    τ̃ᵢ = mᵢ⊙τᵢ/density, mᵢ drawn with probability `density`; θ = θ₀ + λ·Σ wᵢ·τ̃ᵢ.

    weight: share of each model.
    density: probability that an entry is kept; the paper drops 0.9 of small fine-tuning changes.
    normalize: divide by the sum of the weights.
    rescale: divide the kept entries by the density; `l1` restores the sum of magnitudes instead.
    lambda: strength of the sum.
    """
    deltas = _dropped(base, models, density, seeds, rescale)
    return fused(base, deltas, weight, normalize=normalize, scale=lambda_)


@method(without_effect=INT8_MASK)
def dare_ties(
    base: Task,
    models: list[Task],
    *,
    weight: PerModel[float],
    density: PerModel[Fraction] = 1.0,
    normalize: bool = False,
    rescale: Rescale = True,
    lambda_: float = 1.0,
    seeds: PerModel[int],
) -> Task:
    """Drop changes at random, enlarge the rest, then settle signs by vote as TIES does.

    τ̃ᵢ = mᵢ⊙τᵢ/density; s = sign Σ wᵢ·τ̃ᵢ; θ = θ₀ + λ·Σ of the wᵢ·τ̃ᵢ that have sign s.

    weight: share of each model in the vote and in the sum.
    density: probability that an entry is kept.
    normalize: divide by the weights that agree.
    rescale: divide the kept entries by the density; `l1` restores the sum of magnitudes instead.
    lambda: strength of the merged task vector.
    """
    deltas = _dropped(base, models, density, seeds, rescale)
    return elected(base, deltas, weight, normalize=normalize, scale=lambda_)


def _dropped(
    base: Task,
    models: Sequence[Task],
    density: Sequence[float],
    seeds: Sequence[int],
    rescale: Rescale,
) -> list[Task]:
    deltas = []
    for each, kept, seed in zip(task_vectors(base, models), density, seeds, strict=True):
        dropped = prune_at_random(each, density=kept, seed=seed, rescale=rescale is True)
        deltas.append(rescale_to(dropped, each) if rescale == "l1" and kept < 1 else dropped)
    return deltas


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer dare_linear and dare_ties."""
    return [dare_linear, dare_ties]
