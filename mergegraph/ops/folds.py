"""Folds: a few numbers gathered over all strips of a tensor, in float64 or integers."""

from __future__ import annotations

from typing import Any

from mergegraph.spec import Spec
from mergegraph.tasks import op


@op(cut="fold", copies=4, infer=lambda *vectors: Spec((len(vectors), len(vectors)), "float64"))
def gram(*vectors: Any) -> Any:
    """The dot products of all pairs of tensors, `[N, N]` in float64: norms and angles follow."""
    import torch

    rows = torch.stack(vectors).double()
    return rows @ rows.T


@op(cut="fold", copies=4, infer=lambda *tensors: Spec((len(tensors),), "float64"))
def absolute_sums(*tensors: Any) -> Any:
    """Σ|x| of each tensor, `[N]` in float64."""
    import torch

    return torch.stack(tensors).double().abs().sum(1)


@op(cut="fold", infer=lambda _tensor: Spec((1,), "int64"))
def count_nonfinite(tensor: Any) -> Any:
    """How many entries are NaN or infinite, `[1]` in int64."""
    import torch

    # 0·x is NaN for just these entries, and a dot product is much cheaper than a comparison
    if tensor.numel() and torch.dot(tensor, torch.zeros_like(tensor)).item() == 0:
        return torch.zeros(1, dtype=torch.int64)
    return (~tensor.isfinite()).sum().reshape(1)


@op(cut="fold", infer=lambda _first, *_others: Spec((1,), "int64"))
def count_different(first: Any, *others: Any) -> Any:
    """At how many positions any of the others differs from the first, `[1]` in int64."""
    import torch

    return torch.stack([other != first for other in others]).any(0).sum().reshape(1)
