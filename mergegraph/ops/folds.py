"""Folds: a few numbers gathered over all strips of a tensor, in float64 or integers."""

from __future__ import annotations

from math import isfinite
from typing import Any

from mergegraph.instructions import Code, Do
from mergegraph.spec import Spec
from mergegraph.tasks import op

_FEW = 16 * 1024  # entries that are looked at together once a sum is not finite
_LARGEST_BYTE = {"float8_e4m3fn": 0x7E, "float8_e5m2": 0x7B}  # the largest finite magnitude


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

    flat = tensor.reshape(-1)  # a small one comes in its shape
    if flat.itemsize == 1:
        return torch.tensor([_nonfinite_bytes(flat)])
    # a sum is not finite if an entry is not, and nothing costs less; where it overflows of itself,
    # and where something is to be counted, entries are looked at, a few at a time
    pieces = () if isfinite(flat.sum().item()) else flat.split(_FEW)
    return torch.tensor([sum(map(_nonfinite, pieces))])


def _nonfinite(entries: Any) -> int:
    values = entries.float() if entries.itemsize < 4 else entries  # noqa: PLR2004 - of float32
    if isfinite(values.sum().item()):
        return 0
    return int(values.isfinite().logical_not_().count_nonzero())


def _nonfinite_bytes(entries: Any) -> int:
    import torch

    magnitudes = entries.view(torch.uint8) & 0x7F
    largest = _LARGEST_BYTE[str(entries.dtype).removeprefix("torch.")]
    if not len(entries) or magnitudes.amax().item() <= largest:
        return 0
    return int((magnitudes > largest).count_nonzero())


@op(cut="fold", copies=3, infer=lambda _tensor, *, largest: Spec((1,), "int64"))  # noqa: ARG005
def count_beyond(tensor: Any, *, largest: float) -> Any:
    """How many entries are NaN or of a larger magnitude than a number, `[1]` in int64."""
    import torch

    flat = tensor.reshape(-1)
    if not len(flat) or max(map(abs, flat.aminmax())).item() <= largest:
        return torch.zeros(1, dtype=torch.int64)
    return (flat.abs() <= largest).logical_not_().count_nonzero().reshape(1)


@op(cut="fold", infer=lambda _first, *_others: Spec((1,), "int64"))
def count_different(first: Any, *others: Any) -> Any:
    """At how many positions any of the others differs from the first, `[1]` in int64."""
    import torch

    different = torch.zeros_like(first, dtype=torch.bool)
    for other in others:
        different |= other != first
    return different.count_nonzero().reshape(1)


@op(cut="fold", copies=4, infer=lambda *_deltas: Spec((2,), "int64"))
def sign_conflicts(*deltas: Any) -> Any:
    """At how many positions deltas differ in sign, and at how many two or more are not zero."""
    import torch

    above = torch.zeros_like(deltas[0], dtype=torch.bool)
    below, changed = above.clone(), torch.zeros_like(deltas[0], dtype=torch.int16)
    for each in deltas:
        above |= each > 0
        below |= each < 0
        changed += each != 0
    return torch.stack([(above & below).count_nonzero(), (changed > 1).count_nonzero()])
