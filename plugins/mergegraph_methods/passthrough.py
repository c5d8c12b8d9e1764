"""Passthrough: one model's tensors as they are, for stacking layers."""

from collections.abc import Iterable

from mergegraph import Between, Factors, Method, PerModel, Task, hookimpl, method
from mergegraph.ops import join_factors
from mergegraph.ops import scale as scaled


def _of_factors(models: list[Factors], *, scale: list[float | None]) -> Factors:
    return join_factors(models, weights=[1.0 if scale[0] is None else scale[0]])


@method(group="layers", counts=Between(1, 1), on_factors=_of_factors)
def passthrough(models: list[Task], *, scale: PerModel[float | None] = None) -> Task:
    """Take the tensors of exactly one model, for layer stacks ("frankenmerges").

    θ = scale·θ₁.

    Each slice of the recipe names one model and some of its layers; the layers of all slices are
    stacked. What is stacked wants further training. Without `scale` bytes are copied.

    scale: factor for every entry; often set by filters, to soften duplicated layers.
    """
    return models[0] if scale[0] is None else scaled(models[0], factor=scale[0])


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer passthrough."""
    return [passthrough]
