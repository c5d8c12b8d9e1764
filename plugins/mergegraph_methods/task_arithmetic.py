"""Task arithmetic: sums of task vectors (arXiv:2212.04089)."""

from collections.abc import Iterable

from mergegraph import Factors, Method, PerModel, Task, hookimpl, method
from mergegraph.ops import join_factors
from mergegraph_methods.parts.task_vectors import INT8_MASK, check_weights, fused, task_vectors

UNPRUNED = {
    "density": "task arithmetic prunes nothing, in mergekit neither",
    "rescale": "task arithmetic prunes nothing that could be restored",
}


def _of_factors(
    models: list[Factors], *, weight: list[float], normalize: bool = False, lambda_: float = 1.0
) -> Factors:
    if normalize and any(weight):
        check_weights(weight)
    total = sum(weight) if normalize and any(weight) else 1.0
    return join_factors(models, weights=[lambda_ * each / total for each in weight])


@method(
    group="task vectors",
    paper="Editing Models with Task Arithmetic, arXiv:2212.04089",
    recommended={"lambda": 0.4},
    without_effect=INT8_MASK | UNPRUNED,
    on_factors=_of_factors,
)
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

    A λ of 1 restores a single model, 1/N averages N of them; with a weight of −1 a model's skill is
    taken away; weights −1, 1 and 1 for A, B and C make what is to C as B is to A.

    weight: share of each model's task vector.
    normalize: divide by the sum of the weights.
    lambda: strength of the sum; 0.3 to 0.5 often serves many tasks, tune it on held-out data.
    """
    return fused(base, task_vectors(base, models), weight, normalize=normalize, scale=lambda_)


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer task_arithmetic."""
    return [task_arithmetic]
