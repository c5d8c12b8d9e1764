"""Task arithmetic: sums of task vectors (arXiv:2212.04089)."""

from collections.abc import Iterable

from mergegraph import Method, PerModel, Task, hookimpl, method
from mergegraph_methods.task_vectors import INT8_MASK, fused, task_vectors

UNPRUNED = {
    "density": "task arithmetic prunes nothing, in mergekit neither",
    "rescale": "task arithmetic prunes nothing that could be restored",
}


@method(without_effect=INT8_MASK | UNPRUNED)
def task_arithmetic(
    base: Task,
    models: list[Task],
    *,
    weight: PerModel[float],
    normalize: bool = False,
    lambda_: float = 1.0,
) -> Task:
    """Add the weighted task vectors of models to the base; negative weights forget.

    θ = θ₀ + λ·Σ wᵢ·τᵢ, the sum divided by Σ wᵢ if `normalize`; τᵢ = θᵢ − θ₀.

    weight: share of each model's task vector.
    normalize: divide by the sum of the weights.
    lambda: strength of the sum; 0.3 to 0.5 often serves many tasks, tune it on held-out data.
    """
    return fused(base, task_vectors(base, models), weight, normalize=normalize, scale=lambda_)


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer task_arithmetic."""
    return [task_arithmetic]
