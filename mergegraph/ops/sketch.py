"""Low-rank factors of a tensor that is only ever seen in strips (Halko et al., arXiv:0909.4061).

A tensor is a matrix δ of rows as strips have them. A basis Q of what its rows span is drawn at
random and turned toward the large directions by folds of δᵀδQ. No more is in memory than a few
numbers for each row, and for each entry of a row. Strips of folds are whole rows, where a row is no
longer than a strip (`strips.Grid`); `can_sketch` sees to that.
"""

from __future__ import annotations

from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.ops.chance import first_digits
from mergegraph.spec import Spec
from mergegraph.strips import STRIP
from mergegraph.tasks import Task, op

MORE = 16  # directions beyond those that are wanted
TURNS = 2  # times that the basis is turned toward the large directions
EXACT = 256  # matrices with a side of no more are looked at in all their directions
NOTHING = 1e-8  # a singular value below this share of the largest is none
_HALF = 0.5 * 0xFFFF  # of the largest first digit


def can_sketch(spec: Spec) -> bool:
    """Whether a tensor has directions that strips can show: their rows must be whole."""
    return len(spec.shape) > 1 and spec.numel > 0 and spec.row <= STRIP


def sketch(delta: Task, *, rank: int, seed: int) -> tuple[Task, Task]:
    """A basis that holds the `rank` leading directions of the rows of δ, and δᵀδ of the basis.

    Both are `[entries of a row, directions]`. With all directions they are exact.
    """
    row = delta.spec.row
    shorter = min(row, delta.spec.numel // row)
    count = shorter if shorter <= EXACT else min(shorter, rank + MORE)
    if count == row:
        return _identity(image := _overlaps(delta, row=row)), image
    basis = _orthonormal(_draw(delta, row=row, count=count, seed=seed))
    for _ in range(TURNS - 1):
        basis = _orthonormal(_turn(delta, basis, row=row))
    return basis, _turn(delta, basis, row=row)


def factors(
    delta: Task, found: tuple[Task, Task], *, rank: int, dtype: str, is_even: bool = True
) -> tuple[Task, Task]:
    """L `[rows, rank]` in float32 and R `[rank, entries of a row]` in `dtype`, with δ ≈ L·R.

    Both have the roots of the singular values if `is_even`, else R has them whole. L fits R as it
    is stored, rounded. What is beyond the directions that there are is zero.
    """
    right = _right(*found, rank=rank, dtype=dtype, is_even=is_even)
    return _left(delta, _dual(right), row=delta.spec.row), right


@op(small=True, copies=8, infer=lambda basis, _image: Spec(basis.shape[1:], "float64"))
def singular_values(basis: Any, image: Any) -> Any:
    """The singular values that a basis holds, falling."""
    return _directions(basis, image)[0]


@op(small=True, infer=lambda _factor, *, shape, dtype, **_: Spec(shape, dtype))
def laid_out(factor: Any, *, shape: tuple[int, ...], dtype: str, turned: bool = False) -> Any:
    """A factor as a checkpoint has it: turned or not, in a shape and a dtype."""
    import torch

    sides = factor.T if turned else factor
    return sides.reshape(shape).to(getattr(torch, dtype)).clone()


@op(cut="fold", copies=5, infer=lambda _delta, *, row, count, **_: Spec((row, count), "float64"))
def _draw(delta: Any, *, row: int, count: int, seed: int, start: int) -> Any:
    """Random sums of the rows, δᵀΩ with Ω of `[rows, count]`."""
    import numpy as np
    import torch

    rows = delta.reshape(-1, row).double()
    digits = first_digits(seed, start // row * count, len(rows) * count)
    drawn = torch.from_numpy(digits.astype(np.float64)).sub_(_HALF).reshape(-1, count)
    return rows.T @ drawn


@op(cut="fold", copies=4, infer=lambda _delta, basis, **_: basis)
def _turn(delta: Any, basis: Any, *, row: int) -> Any:
    """δᵀδQ."""
    rows = delta.reshape(-1, row).double()
    return rows.T @ (rows @ basis)


@op(cut="fold", copies=2, infer=lambda _delta, *, row: Spec((row, row), "float64"))
def _overlaps(delta: Any, *, row: int) -> Any:
    """δᵀδ, where rows are short."""
    rows = delta.reshape(-1, row).double()
    return rows.T @ rows


@op(small=True, copies=2)
def _identity(image: Any) -> Any:
    import torch

    return torch.eye(len(image), dtype=image.dtype)


@op(small=True, copies=8)
def _orthonormal(columns: Any) -> Any:
    """Orthonormal columns that span the same."""
    import torch

    return torch.linalg.qr(_sound(columns))[0].contiguous()


@op(
    small=True,
    copies=10,
    infer=lambda basis, _image, *, rank, dtype, **_: Spec((rank, basis.shape[0]), dtype),
)
def _right(basis: Any, image: Any, *, rank: int, dtype: str, is_even: bool) -> Any:
    """√Σ·Vᵀ of the leading directions."""
    import torch

    values, vectors = _directions(basis, image)
    values = values.where(values > NOTHING * values[0], 0.0)[:rank]
    result = torch.zeros(rank, len(basis), dtype=getattr(torch, dtype))
    lengths = values.sqrt() if is_even else values
    result[: len(values)] = lengths[:, None] * (basis @ vectors[:, :rank]).T
    return result


@op(small=True, copies=9, infer=lambda right: Spec(right.shape[::-1], "float64"))
def _dual(right: Any) -> Any:
    """Rᵀ(RRᵀ)⁻¹: what makes of δ the L that fits R best; directions of nothing stay nothing."""
    import torch

    wide = right.double()
    lengths = wide.norm(dim=1, keepdim=True)
    even = wide / lengths.where(lengths > 0, 1.0)
    inverse = torch.linalg.pinv(even @ even.T, hermitian=True)
    return (even.T @ inverse / lengths.where(lengths > 0, torch.inf).T).contiguous()


def _joined(first: Any, second: Any) -> Any:
    """Rows gathered in a list, to be put together once."""
    return [*first, second] if isinstance(first, list) else [first, second]


def _in_one(rows: Any) -> Any:
    import torch

    return torch.cat(rows) if isinstance(rows, list) else rows


@op(
    cut="fold",
    copies=5,
    combine=_joined,
    finish=_in_one,
    infer=lambda delta, dual, *, row: Spec((delta.numel // row, dual.shape[1]), "float32"),
)
def _left(delta: Any, dual: Any, *, row: int) -> Any:
    """δ times the dual of R, row by row."""
    return (delta.reshape(-1, row).double() @ dual).float()


def _directions(basis: Any, image: Any) -> tuple[Any, Any]:
    """The singular values that a basis holds, falling, and how it is to be turned for each."""
    import torch

    held = basis.T @ _sound(image)
    squares, vectors = torch.linalg.eigh((held + held.T) / 2)
    return squares.clamp_(min=0).sqrt_().flip(0), vectors.flip(1)


def _sound(matrix: Any) -> Any:
    if not matrix.isfinite().all():
        raise MergeGraphError("the models differ by NaN or infinite entries, which have no rank")
    return matrix
