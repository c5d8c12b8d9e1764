"""KnOTS: align the changes of low-rank models before they are merged (arXiv:2410.19735)."""

from collections.abc import Iterable, Sequence
from typing import Literal

from mergegraph import About, Between, Factors, Method, PerModel, Task, hookimpl, method
from mergegraph.ops import fuse, join_factors, prune_at_random, prune_to_count
from mergegraph.ops.lowrank import beside
from mergegraph.ops.products import factor
from mergegraph_methods.parts.aligned import (
    along,
    along_of_factors,
    back,
    count_along,
    flat_zeros,
    shared_directions,
    shared_directions_of_factors,
)
from mergegraph_methods.parts.subspaces import add, add_mean, is_matrix
from mergegraph_methods.parts.task_vectors import Fraction, elected, task_vectors

Inner = Literal["ties", "dare_ties", "sum"]


def _merged(
    rows: Task,
    parts: Sequence[Task],
    weight: Sequence[float],
    density: Sequence[float],
    seeds: Sequence[int],
    *,
    inner: Inner,
    normalize: bool,
) -> Task:
    """What the parts of task vectors along shared directions come to."""
    columns = parts[0].spec.numel // max(1, rows.spec.shape[0])
    kept = []
    for own, share, seed in zip(parts, density, seeds, strict=True):
        if share >= 1:
            kept.append(own)
        elif inner == "ties":
            count = count_along(rows, density=share, columns=columns)
            kept.append(prune_to_count(own, count))
        else:
            kept.append(prune_at_random(own, density=share, seed=seed, rescale=True))
    return elected(flat_zeros(parts[0]), kept, weight, normalize=normalize, scale=1.0)


def _of_factors(
    models: list[Factors],
    *,
    weight: list[float],
    density: list[float],
    inner: Inner,
    normalize: bool,
    lambda_: float,
    vocabulary: bool,
    seeds: list[int],
) -> Factors:
    if inner == "sum":
        return join_factors(models, weights=[lambda_ * each for each in weight])
    left = beside(*[each.left for each in models], axis=1)
    rows = shared_directions_of_factors(left, *[each.right for each in models])
    parts = [along_of_factors(rows, each.left, each.right) for each in models]
    chosen = _merged(rows, parts, weight, density, seeds, inner=inner, normalize=normalize)
    rank, shape = left.spec.shape[1], models[0].shape
    merged = Factors(
        factor(rows, shape=(rank, shape[0]), order=(1, 0)),
        factor(chosen, shape=(rank, shape[1]), order=(0, 1)),
    )
    return join_factors([merged], weights=[lambda_])


@method(
    group="subspaces",
    paper="Model merging with SVD to tie the Knots, arXiv:2410.19735",
    recommended={"density": 0.2, "lambda": 0.6},
    counts=Between(1),
    on_factors=_of_factors,
)
def knots(
    base: Task,
    models: list[Task],
    *,
    weight: PerModel[float] = 1.0,
    density: PerModel[Fraction] = 0.2,
    inner: Inner = "ties",
    normalize: bool = True,
    lambda_: float = 1.0,
    vocabulary: bool = False,
    about: About,
    seeds: PerModel[int],
) -> Task:
    """Describe all changes by directions that they share, and merge them there.

    [τ₁ … τ_N] = U·S·[V₁ … V_N]; the parts S·Vᵢ are merged entry by entry, as task vectors are in
    TIES, and θ = θ₀ + λ·U·merged.

    The changes of adapters are of low rank and hardly overlap entry by entry; along directions that
    they share, entries mean the same in all of them. Adapters are merged by their factors, exactly.
    Of vectors, embeddings and output heads the mean of the task vectors is taken.

    weight: share of each model's task vector.
    density: fraction kept of each part: by magnitude, or at random with dare_ties.
    inner: how the parts are merged; `sum` gives the plain sum of the task vectors.
    normalize: divide by the weights that agree, else sum.
    lambda: strength of the merged task vector; the authors tune it on held-out data.
    vocabulary: treat embeddings and output heads as matrices, too; those of adapters always are.
    """
    deltas = task_vectors(base, models)
    if inner == "sum":
        return fuse(base, *deltas, weights=weight, scale=lambda_)
    if not is_matrix(base, about, vocabulary=vocabulary):
        return add_mean(base, deltas, weight, lambda_)
    rows = shared_directions(*deltas)
    parts = [along(rows, each) for each in deltas]
    chosen = _merged(rows, parts, weight, density, seeds, inner=inner, normalize=normalize)
    return add(base, back(rows, chosen, shape=base.spec.shape), lambda_)


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer knots."""
    return [knots]
