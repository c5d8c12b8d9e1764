"""Folds: a few numbers gathered over all strips of a tensor, in float64 or integers."""

from __future__ import annotations

from math import isfinite
from typing import Any

from mergegraph.instructions import Code, Do
from mergegraph.spec import Spec
from mergegraph.tasks import op


@op(cut="fold", copies=4, infer=lambda *vectors: Spec((len(vectors), len(vectors)), "float64"))
def gram(*vectors: Any) -> Any:
    """The dot products of all pairs of tensors, `[N, N]` in float64: norms and angles follow."""
    import torch

    count = len(vectors)
    step = max(1, -(-2 * len(vectors[0]) // count))  # two copies in float64, however many vectors
    block = torch.empty(count, step, dtype=torch.float64)
    dots = torch.zeros(count, count, dtype=torch.float64)
    for parts in zip(*(each.split(step) for each in vectors), strict=True):
        rows = block[:, : len(parts[0])]
        for row, part in zip(rows, parts, strict=True):
            row.copy_(part)
        dots.addmm_(rows, rows.T)
    return dots


@op(cut="fold", copies=2, infer=lambda *tensors: Spec((len(tensors),), "float64"))
def absolute_sums(*tensors: Any) -> Any:
    """Σ|x| of each tensor, `[N]` in float64."""
    import torch

    return torch.stack([each.double().abs_().sum() for each in tensors])


def _code_count_nonfinite(code: Code, out: int, tensor: int) -> None:
    code.do(Do.COUNT_NONFINITE, out, tensor)


@op(
    cut="fold",
    copies=3,
    infer=lambda _tensor: Spec((1,), "int64"),
    code=_code_count_nonfinite,
)
def count_nonfinite(tensor: Any) -> Any:
    """How many entries are NaN or infinite, `[1]` in int64."""
    import torch

    # a sum of squares is finite if they all are, and a dot product costs a tenth of comparisons;
    # where the squares of large entries overflow, they are looked at one by one
    flat = tensor.reshape(-1)  # a small one comes in its shape
    values = flat.float() if tensor.itemsize < 4 else flat  # noqa: PLR2004 - of float32
    if isfinite(torch.dot(values, values).item()):
        return torch.zeros(1, dtype=torch.int64)
    return values.isfinite().logical_not_().count_nonzero().reshape(1)


@op(cut="fold", infer=lambda _first, *_others: Spec((1,), "int64"))
def count_different(first: Any, *others: Any) -> Any:
    """At how many positions any of the others differs from the first, `[1]` in int64."""
    import torch

    different = torch.zeros_like(first, dtype=torch.bool)
    for other in others:
        different |= other != first
    return different.count_nonzero().reshape(1)
