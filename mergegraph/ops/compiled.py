"""Kernels compiled by numba, for the ops whose plain kernels take longest.

Each function here makes a kernel that comes to the bits of the plain one, or raises ImportError
where numba is not installed. Loops that count, compare and move entries have no rounding to differ
in; those that reckon do the same float32 operations in the same order, and none of them is fused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Kernel = Callable[..., Any]

_MAGNITUDE = 0x7FFF_FFFF  # the bits of a float32 but for its sign
_LOW_BITS = 16


def high_histogram(_inputs: int) -> Kernel:
    """A kernel for `_high_histogram`."""
    count = _compiled("count_high", "void(int32[::1], int64[::1])")

    def kernel(delta: Any) -> Any:
        histogram = _zeros(1 << (31 - _LOW_BITS))
        count(_bits(delta), histogram.numpy())
        return histogram

    return kernel


def low_histogram(_inputs: int) -> Kernel:
    """A kernel for `_low_histogram`."""
    count = _compiled("count_low", "void(int32[::1], int64, int64[::1])")

    def kernel(delta: Any, bucket: Any) -> Any:
        histogram = _zeros(len(bucket), 1 << _LOW_BITS)
        for row, chosen in zip(histogram, bucket[:, 0].tolist(), strict=True):
            count(_bits(delta), (chosen << _LOW_BITS) & _MAGNITUDE, row.numpy())
        return histogram

    return kernel


def count_ties(_inputs: int) -> Kernel:
    """A kernel for `_count_ties`."""
    count = _compiled("count_equal", "int64(int32[::1], int64)")

    def kernel(delta: Any, thresholds: Any) -> Any:
        ties = _zeros(len(thresholds))
        for i, (threshold, quota) in enumerate(thresholds.tolist()):
            ties[i] = count(_bits(delta), threshold) if quota else 0
        return ties

    return kernel


def fall_by_rank(_inputs: int) -> Kernel:
    """A kernel that gives every entry of `[rows, entries]` the number that its rank has."""
    spread = _compiled("spread_by_rank", "void(int32[::1], float32[::1], float32[::1])")

    def kernel(delta: Any, falling: Any) -> Any:
        import torch

        result = torch.empty_like(delta)
        spread(_bits(delta.reshape(-1)), falling.numpy(), result.reshape(-1).numpy())
        return result

    return kernel


def elect(inputs: int) -> Kernel:
    """A kernel for `elect` that votes by sum; the other elections stay with the plain one."""
    vote = _compiled("vote", f"void({_tensors(inputs)}, float32[::1], float32[::1])")

    def kernel(*deltas: Any, weights: tuple[float, ...]) -> Any:
        import torch

        signs = torch.empty_like(deltas[0])
        vote(_arrays(deltas), _float32(weights), signs.numpy())
        return signs

    return kernel


def fuse_elected(inputs: int) -> Kernel:
    """A kernel for `fuse_elected` with weights that are not negative."""
    fuse = _compiled(
        "fuse",
        f"void(float32[::1], float32[::1], {_tensors(inputs - 2)}, float32[::1], float32, "
        "float32, boolean, float32[::1])",
    )

    def kernel(
        base: Any,
        signs: Any,
        *deltas: Any,
        weights: tuple[float, ...],
        least: float,
        scale: float,
        normalize: bool,
    ) -> Any:
        import torch

        fused = torch.empty_like(base)
        given = (base.numpy(), signs.numpy(), _arrays(deltas), _float32(weights))
        fuse(*given, least, scale, normalize, fused.numpy())
        return fused

    return kernel


def _compiled(loop: str, signature: str) -> Any:
    """A loop of `loops`, compiled now, and run without the interpreter's lock."""
    import numba

    from mergegraph.ops import loops

    return numba.njit([signature], nogil=True)(getattr(loops, loop))


def _tensors(count: int) -> str:
    return f"UniTuple(float32[::1], {count})"


def _bits(tensor: Any) -> Any:
    import torch

    return tensor.view(torch.int32).numpy()


def _arrays(tensors: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(each.numpy() for each in tensors)


def _float32(numbers: Sequence[float]) -> Any:
    import numpy as np

    return np.array(numbers, np.float32)


def _zeros(*shape: int) -> Any:
    import torch

    return torch.zeros(shape, dtype=torch.int64)
