"""Linear: the weighted average of models, the "model soup" of arXiv:2203.05482."""

from collections.abc import Iterable

from mergegraph import Method, PerModel, Task, hookimpl, method
from mergegraph.ops import average
from mergegraph_methods.task_vectors import check_weights


@method
def linear(models: list[Task], *, weight: PerModel[float], normalize: bool = True) -> Task:
    """Average models, each with its weight.

    θ = Σ wᵢ·θᵢ / Σ wᵢ, without the division if `normalize` is false.

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
