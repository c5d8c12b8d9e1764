"""Ops of plain arithmetic: load, cast, delta, weighted sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mergegraph.instructions import Code, Do
from mergegraph.rowmap import RowMap
from mergegraph.spec import Spec
from mergegraph.tasks import EVERY, Task, op


@op(cut="load", copies=1, infer=lambda *, entry, rows: _of_rows(entry.spec, rows))
def load(*, entry: Any, rows: RowMap | int | None = None) -> Any:
    """Read a tensor of a checkpoint: all of it, its first rows, or rows by a map.

    The executor does it.
    """
    raise NotImplementedError


def _code_cast(code: Code, out: int, tensor: int, *, dtype: str) -> Any:
    if dtype == "bfloat16":
        return code.do(Do.ROUND, out, tensor)
    # registers hold bfloat16 entries as the float32 numbers that they are
    return tensor if dtype == "float32" else NotImplemented


@op(
    cut="pointwise",
    infer=lambda tensor, *, dtype: tensor.with_dtype(dtype),
    code=_code_cast,
    carries=EVERY,
)
def _cast(tensor: Any, *, dtype: str) -> Any:
    import torch

    return tensor.to(getattr(torch, dtype))


def cast(tensor: Task, dtype: str) -> Task:
    """The tensor rounded to `dtype`, to nearest even; casts that change nothing vanish."""
    tensor = narrowed(tensor)
    return tensor if tensor.spec.dtype == dtype else _cast(tensor, dtype=dtype)


def _code_delta(code: Code, out: int, model: int, base: int) -> None:
    code.do(Do.SUBTRACT, out, model, base)


@op(cut="pointwise", code=_code_delta, carries=EVERY)
def delta(model: Any, base: Any) -> Any:
    """The task vector of a model: model − base (arXiv:2212.04089)."""
    return model - base


def _code_scale(code: Code, out: int, tensor: int, *, factor: float) -> None:
    code.do(Do.SCALE, out, tensor, code.number(factor))


@op(cut="pointwise", code=_code_scale, carries=EVERY)
def scale(tensor: Any, *, factor: float) -> Any:
    """Every entry times a number."""
    return tensor * factor


def _code_scale_by(code: Code, out: int, tensor: int, factor: Any) -> None:
    code.do(Do.SCALE, out, tensor, code.number(factor.item()))


@op(cut="pointwise", infer=lambda tensor, _factor: tensor, code=_code_scale_by, carries=EVERY)
def scale_by(tensor: Any, factor: Any) -> Any:
    """Every entry times a small task's only entry."""
    return tensor * factor.item()


def _code_average(
    code: Code, out: int, *tensors: int, weights: tuple[float, ...], normalize: bool
) -> None:
    code.weighted_sum(out, tensors, _shares(weights, normalize=normalize))


@op(cut="pointwise", copies=2, code=_code_average, carries=EVERY)
def average(*tensors: Any, weights: tuple[float, ...], normalize: bool = True) -> Any:
    """Σ wᵢ·xᵢ, divided by Σ wᵢ if `normalize`; the weights must not cancel then."""
    return weighted_sum(tensors, _shares(weights, normalize=normalize))


def _code_combine(code: Code, out: int, *tensors_and_coefficients: Any) -> None:
    *tensors, coefficients = tensors_and_coefficients
    code.weighted_sum(out, tensors, coefficients.tolist())


@op(
    cut="pointwise",
    copies=2,
    infer=lambda first, *_others: first,
    code=_code_combine,
    carries=EVERY,
)
def combine(*tensors_and_coefficients: Any) -> Any:
    """Σ cᵢ·xᵢ of tensors, the coefficients computed: a small task, given last."""
    *tensors, coefficients = tensors_and_coefficients
    return weighted_sum(tensors, coefficients.tolist())


@op(infer=lambda first, *others, dim: _stacked((first, *others), dim), carries=EVERY)
def stack(*tensors: Any, dim: int = 0) -> Any:
    """Tensors of one shape side by side along a new axis: experts into a fused tensor."""
    import torch

    return torch.stack(tensors, dim)


@op(copies=1, infer=lambda tensor, *, axes: _reordered(tensor, axes), carries=EVERY)
def reorder(tensor: Any, *, axes: tuple[int, ...]) -> Any:
    """A tensor whose axes a file has in the order `axes`, with its axes in their own order."""
    return tensor.permute([axes.index(axis) for axis in range(len(axes))]).contiguous()


@op(cut="pointwise", resizes=True, infer=lambda tensor, *, rows: _head_rows(tensor, rows))
def crop(tensor: Any, *, rows: int) -> Any:  # noqa: ARG001 - the strips end where the result ends
    """The first `rows` rows."""
    return tensor


@op(cut="pointwise", resizes=True, infer=lambda _tensor, base: base, carries=1)
def extend(tensor: Any, base: Any) -> Any:
    """The tensor, and the rows of a longer base where it ends."""
    import torch

    return torch.cat([tensor, base[tensor.numel() :]])


@op(cut="pointwise", copies=4)
def fill_nonfinite(tensor: Any, *substitutes: Any) -> Any:
    """NaN and infinite entries replaced by the mean of the finite substitutes; NaN if none is."""
    import torch

    total = torch.zeros_like(tensor)
    count = torch.zeros_like(tensor)
    for each in substitutes:
        finite = each.isfinite()
        total.add_(each.where(finite, 0.0))
        count.add_(finite)
    return torch.where(tensor.isfinite(), tensor, total.div_(count))


def weighted_sum(tensors: Sequence[Any], weights: Sequence[float]) -> Any:
    """Σ wᵢ·xᵢ of the entries, in a tensor of its own.

    Products are rounded before they are added, on every processor: some could do both at once.
    """
    total = tensors[0] * weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total.add_(tensor * weight)
    return total


def _shares(weights: Sequence[float], *, normalize: bool) -> list[float]:
    total = sum(weights) if normalize else 1.0
    return [weight / total for weight in weights]


def _reordered(stored: Spec, axes: tuple[int, ...]) -> Spec:
    shape = (stored.shape[axes.index(axis)] for axis in range(len(axes)))
    return Spec(tuple(shape), stored.dtype)


def _head_rows(spec: Spec, rows: int | None) -> Spec:
    return spec if rows is None else Spec((rows, *spec.shape[1:]), spec.dtype)


def _of_rows(spec: Spec, rows: RowMap | int | None) -> Spec:
    return mapped(spec, rows) if isinstance(rows, RowMap) else _head_rows(spec, rows)


def mapped(spec: Spec, rows: RowMap) -> Spec:
    """A tensor whose rows, or whose only row's entries, are those of a map."""
    shape = (1, rows.count) if spec.shape == (1, rows.of) else (rows.count, *spec.shape[1:])
    return Spec(shape, spec.dtype)


def narrowed(tensor: Task) -> Task:
    """The tensor before it was widened, if that is all that was done to it last."""
    is_wider = tensor.op is _cast and _widens(tensor.inputs[0].spec, tensor.spec)
    return tensor.inputs[0] if is_wider else tensor


def unrounded(tensor: Task) -> Task:
    """The tensor before it was rounded, if that is all that was done to it last."""
    return tensor.inputs[0] if tensor.op is _cast else tensor


def _stacked(specs: tuple[Spec, ...], dim: int) -> Spec:
    shape = list(specs[0].shape)
    shape.insert(dim, len(specs))
    return Spec(tuple(shape), specs[0].dtype)


def _widens(narrow: Spec, wide: Spec) -> bool:
    """Whether every value of the narrow dtype survives the way through the wide one."""
    fits = {"float16", "bfloat16", "float32", "float8_e4m3fn", "float8_e5m2"}
    return wide.dtype in ("float32", "float64") and narrow.dtype in fits
