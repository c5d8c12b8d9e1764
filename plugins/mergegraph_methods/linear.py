"""Linear: the weighted average of models, the "model soup" of arXiv:2203.05482."""

from collections.abc import Iterable

from mergegraph import Between, Factors, Method, PerModel, Task, hookimpl, method
from mergegraph.ops import average, join_factors
from mergegraph_methods.parts.task_vectors import check_weights


def _of_factors(models: list[Factors], *, weight: list[float], normalize: bool = True) -> Factors:
    if normalize:
        check_weights(weight)
    total = sum(weight) if normalize else 1.0
    return join_factors(models, weights=[each / total for each in weight])


@method(
    group="averaging",
    paper="Model soups: averaging weights of multiple fine-tuned models improves accuracy without "
    "increasing inference time, arXiv:2203.05482",
    counts=Between(1),
    on_factors=_of_factors,
)
def linear(models: list[Task], *, weight: PerModel[float], normalize: bool = True) -> Task:
    """Average models, each with its weight.

    θ = Σ wᵢ·θᵢ / Σ wᵢ, without the division if `normalize` is false.

    Equal weights make a uniform soup of fine-tunings of one model; two weights that add up to 1
    lead from one model to the other.

    weight: share of each model; any scale if normalized, negative allowed.
    normalize: divide by the sum of the weights.
    """
    if normalize:
        check_weights(weight)
    return average(*models, weights=weight, normalize=normalize)


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer linear."""
    return [linear]
