"""How the factors of a change lie in the weight that they change."""

from __future__ import annotations

from dataclasses import dataclass

from mergegraph.errors import MergeGraphError
from mergegraph.ops.products import factor
from mergegraph.spec import Spec
from mergegraph.tasks import Task

_MATRICES = 3  # axes of matrices side by side


@dataclass(frozen=True)
class Layout:
    """So many matrices side by side; of turned ones the rows are inputs, not outputs."""

    count: int = 1
    is_turned: bool = False


@dataclass(frozen=True)
class Pair:
    """Factors as ops want them, `[n, rows, r]` and `[n, r, columns]`, and their common scale."""

    left: Task
    right: Task
    scale: float


def layouts_of(weight: Spec, first: Spec, second: Spec) -> list[Layout]:
    """The ways in which factors, of inputs and of outputs, may lie in a weight."""
    if not weight.shape or min(len(first.shape), len(second.shape)) < 2 or not first.shape[0]:  # noqa: PLR2004
        return []
    if len(first.shape) > 2:  # noqa: PLR2004 - of a convolution
        fits = first.shape[1:] == weight.shape[1:] and second.shape[0] == weight.shape[0]
        return [Layout()] if fits else []
    count = weight.shape[0] if len(weight.shape) == _MATRICES else 1
    sides = weight.shape[-2:]
    ends = (second.shape[0], first.shape[1])
    found = [Layout(count)] if ends == sides else []
    return [*found, Layout(count, is_turned=True)] if ends[::-1] == sides else found


def pair_of(first: Task, second: Task, layout: Layout, *, rank: int, scale: float) -> Pair:
    """The factors of a change as a pair; raises MergeGraphError if they are none of that rank."""
    count = layout.count
    if first.spec.shape[0] != count * rank or second.spec.numel % (count * rank):
        shapes = f"{first.spec.shape} and {second.spec.shape}"
        raise MergeGraphError(f"factors of shapes {shapes} have not the rank {rank}")
    inputs, outputs = first.spec.numel // (count * rank), second.spec.numel // (count * rank)
    of_first, of_second = (count, rank, inputs), (outputs, rank, count)
    if layout.is_turned:
        left = factor(first, shape=of_first, order=(0, 2, 1))
        right = factor(second, shape=of_second, order=(2, 1, 0))
    else:
        left = factor(second, shape=of_second, order=(2, 0, 1))
        right = factor(first, shape=of_first, order=(0, 1, 2))
    return Pair(left, right, scale)
