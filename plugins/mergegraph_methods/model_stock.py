"""Model Stock: between base and average, as far as the models agree (arXiv:2403.19522)."""

from collections.abc import Iterable
from itertools import combinations
from typing import Any

from mergegraph import MergeGraphError, Method, Spec, Task, hookimpl, method, op
from mergegraph.ops import combine, gram
from mergegraph_methods.task_vectors import task_vectors


@op(infer=lambda dots, **_numbers: Spec((dots.shape[0] + 1,), "float64"))
def _stock_weights(dots: Any, *, clip: bool) -> Any:
    """What to take of the base and of each model, given the Gram matrix of task vectors."""
    import torch

    ratio = _interpolation(dots[None], clip=clip)
    count = len(dots)
    return torch.cat([1 - ratio, (ratio / count).expand(count)])


@op(cut="rowwise", copies=8)
def _by_row(base: Any, *models: Any, clip: bool) -> Any:
    """The same merge with a ratio of its own for every row."""
    import torch

    step = max(1, base.numel() // (2 * len(models)) ** 2)  # short rows: no more than a strip
    parts = zip(*(each.split(step) for each in (base, *models)), strict=True)
    ratio = torch.cat([_interpolation(_row_dots(*part), clip=clip) for part in parts])
    return torch.lerp(base, sum(models) / len(models), ratio[:, None].to(base.dtype))


def _row_dots(base: Any, *models: Any) -> Any:
    """The Gram matrix of the task vectors of each row, `[rows, N, N]`, two of them in hand."""
    import torch

    shape = (len(base), len(models), len(models))
    dots = torch.empty(shape, dtype=torch.float64, device=base.device)
    for i, first in enumerate(models):
        across = (first - base).double()[:, None, :]
        for j, second in enumerate(models[: i + 1]):
            down = (second - base).double()[:, :, None]
            dots[:, i, j] = dots[:, j, i] = (across @ down)[:, 0, 0]
    return dots


def _interpolation(dots: Any, *, clip: bool) -> Any:
    """T = N·cos/(1 + (N−1)·cos) of each Gram matrix in `[rows, N, N]`, cos the mean over pairs."""
    import torch

    count = dots.shape[1]
    norms = dots.diagonal(dim1=1, dim2=2).sqrt()
    scale = norms[:, :, None] * norms[:, None, :]
    cosines = torch.where(scale > 0, dots / scale, 0.0).clamp(-1, 1)
    cosine = sum(cosines[:, i, j] for i, j in combinations(range(count), 2))
    cosine = cosine / (count * (count - 1) / 2)
    ratio = count * cosine / (1 + (count - 1) * cosine)
    return torch.where(cosine <= 0, 0.0, ratio.clamp(0, 1)) if clip else ratio


@method
def model_stock(
    base: Task, models: list[Task], *, filter_wise: bool = False, clip: bool = True
) -> Task:
    """Average two or more fine-tunings of one base, and step back towards it where they disagree.

    θ = t·mean(θᵢ) + (1−t)·θ₀, t = N·cos/(1 + (N−1)·cos), cos the mean cosine of pairs of task
    vectors.

    filter_wise: a ratio for every row of a matrix instead of one for the tensor.
    clip: hold t between 0 and 1; without it, task vectors that oppose each other extrapolate.
    """
    if len(models) < 2:  # noqa: PLR2004
        raise MergeGraphError("model_stock: needs at least two models besides the base")
    if filter_wise:
        return _by_row(base, *models, clip=clip)
    return combine(base, *models, _stock_weights(gram(*task_vectors(base, models)), clip=clip))


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer model_stock."""
    return [model_stock]
