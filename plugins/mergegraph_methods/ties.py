"""TIES: trim, elect signs, merge what agrees (arXiv:2306.01708)."""

from collections.abc import Iterable

from mergegraph import Method, PerModel, Task, hookimpl, method
from mergegraph.ops import prune_by_magnitude, rescale_to
from mergegraph.ops.fusion import Election
from mergegraph_methods.task_vectors import INT8_MASK, Fraction, elected, task_vectors


@method(without_effect=INT8_MASK)
def ties(
    base: Task,
    models: list[Task],
    *,
    weight: PerModel[float],
    density: PerModel[Fraction] = 1.0,
    normalize: bool = True,
    rescale: bool = False,
    lambda_: float = 1.0,
    elect: Election = "sum",
) -> Task:
    """Keep the largest changes of each model, settle signs by vote, average what agrees.

    τ̂ᵢ = the largest `density` of τᵢ; s = sign Σ wᵢ·τ̂ᵢ; θ = θ₀ + λ·mean of the wᵢ·τ̂ᵢ that have
    sign s.

    weight: share of each model in the vote and in the mean.
    density: fraction of each task vector kept, by magnitude; the paper keeps 0.2.
    normalize: divide by the weights that agree (the paper's mean), else sum.
    rescale: restore the sum of magnitudes that pruning took away.
    lambda: strength of the merged task vector; the paper uses 0.8 to 1.8.
    elect: vote by weighted sum, by count of signs, or by the largest entry.
    """
    deltas = []
    for each, kept in zip(task_vectors(base, models), density, strict=True):
        trimmed = prune_by_magnitude(each, density=kept)
        deltas.append(rescale_to(trimmed, each) if rescale and trimmed != each else trimmed)
    return elected(base, deltas, weight, normalize=normalize, scale=lambda_, by=elect)


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer ties."""
    return [ties]
