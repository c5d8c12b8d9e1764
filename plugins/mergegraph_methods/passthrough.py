"""Passthrough: one model's tensors as they are, for stacking layers."""

from collections.abc import Iterable

from mergegraph import MergeGraphError, Method, PerModel, Task, hookimpl, method
from mergegraph.ops import scale as scaled


@method
def passthrough(models: list[Task], *, scale: PerModel[float | None] = None) -> Task:
    """Take the tensors of exactly one model, for layer stacks ("frankenmerges").

    θ = scale·θ₁; without `scale` the bytes are copied.

    scale: factor for every entry; often set by filters, to soften duplicated layers.
    """
    if len(models) != 1:
        raise MergeGraphError(f"passthrough: takes exactly one model in a slice, not {len(models)}")
    return models[0] if scale[0] is None else scaled(models[0], factor=scale[0])


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer passthrough."""
    return [passthrough]
