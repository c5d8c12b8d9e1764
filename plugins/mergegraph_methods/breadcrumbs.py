"""Model Breadcrumbs: task vectors without their outliers and their dust (arXiv:2312.06795)."""

from collections.abc import Iterable, Sequence

from mergegraph import MergeGraphError, Method, PerModel, Task, hookimpl, method
from mergegraph.ops import prune_to_band, rescale_to
from mergegraph.ops.order import kept_count, removed_count
from mergegraph_methods.task_vectors import INT8_MASK, Fraction, elected, fused, task_vectors

Band = tuple[float, float, float | None]


@method(without_effect=INT8_MASK)
def breadcrumbs(
    base: Task,
    models: list[Task],
    *,
    weight: PerModel[float],
    density: PerModel[Fraction] = 1.0,
    gamma: PerModel[Fraction] = 0.01,
    beta: PerModel[Fraction | None] = None,
    normalize: bool = False,
    rescale: bool = False,
    lambda_: float = 1.0,
) -> Task:
    """Drop the largest and the smallest changes of each model, then task arithmetic.

    Of each task vector the `gamma` largest entries are dropped, the next `density` kept, the rest
    dropped; θ = θ₀ + λ·Σ wᵢ·τ̃ᵢ.

    weight: share of each model.
    density: fraction kept; 1, the default, keeps everything whatever gamma is.
    gamma: fraction of largest entries dropped; the authors search 0.001 to 0.01.
    beta: fraction of smallest entries dropped, in place of density; the authors use 0.85.
    normalize: divide by the sum of the weights.
    rescale: restore the sum of magnitudes that pruning took away.
    lambda: strength of the sum; the authors start at 0.2.
    """
    deltas = _banded(base, models, zip(density, gamma, beta, strict=True), rescale)
    return fused(base, deltas, weight, normalize=normalize, scale=lambda_)


@method(without_effect=INT8_MASK)
def breadcrumbs_ties(
    base: Task,
    models: list[Task],
    *,
    weight: PerModel[float],
    density: PerModel[Fraction] = 1.0,
    gamma: PerModel[Fraction] = 0.01,
    beta: PerModel[Fraction | None] = None,
    normalize: bool = False,
    rescale: bool = False,
    lambda_: float = 1.0,
) -> Task:
    """Drop the largest and the smallest changes of each model, then settle signs as TIES does.

    Pruning as in breadcrumbs; s = sign Σ wᵢ·τ̃ᵢ; θ = θ₀ + λ·Σ of the wᵢ·τ̃ᵢ that have sign s.

    weight: share of each model in the vote and in the sum.
    density: fraction kept; 1, the default, keeps everything whatever gamma is.
    gamma: fraction of largest entries dropped.
    beta: fraction of smallest entries dropped, in place of density.
    normalize: divide by the weights that agree.
    rescale: restore the sum of magnitudes that pruning took away.
    lambda: strength of the merged task vector.
    """
    deltas = _banded(base, models, zip(density, gamma, beta, strict=True), rescale)
    return elected(base, deltas, weight, normalize=normalize, scale=lambda_)


def band(numel: int, density: float, gamma: float, beta: float | None) -> tuple[int, int]:
    """How many entries are kept, and how many larger ones are dropped."""
    top = removed_count(gamma, numel)
    if beta is not None:
        if beta + gamma >= 1:
            raise MergeGraphError(f"beta {beta:g} and gamma {gamma:g} together drop everything")
        return numel - top - removed_count(beta, numel), top
    keep = kept_count(density, numel)
    return keep, min(top, numel - keep)


def _banded(
    base: Task,
    models: Sequence[Task],
    bands: Iterable[Band],
    rescale: bool,  # noqa: FBT001
) -> list[Task]:
    deltas = []
    for each, (density, gamma, beta) in zip(task_vectors(base, models), bands, strict=True):
        keep, top = band(each.spec.numel, density, gamma, beta)
        kept = prune_to_band(each, keep=keep, top=top)
        deltas.append(rescale_to(kept, each) if rescale and kept != each else kept)
    return deltas


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer breadcrumbs and breadcrumbs_ties."""
    return [breadcrumbs, breadcrumbs_ties]
