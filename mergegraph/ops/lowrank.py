"""Ops on factors of low rank: joined, cut to fewer directions, and found in dense tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.factors import Factors
from mergegraph.ops.arithmetic import scale
from mergegraph.ops.products import factor, part
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

_MORE = 10  # directions that are followed beside those that are wanted
_ROUNDS = 6  # of following them
_MOST = 0.25  # of all directions: where more are wanted, all are found at once


def join_factors(models: Sequence[Factors], *, weights: Sequence[float]) -> Factors:
    """Σ wᵢ·leftᵢ·rightᵢ, exactly: factors side by side, whose rank is the sum of their ranks."""
    shapes = {each.shape for each in models}
    if len(shapes) > 1:
        raise MergeGraphError(f"shapes differ: {' and '.join(map(str, sorted(shapes)))}")
    lefts = [
        scale(m.left, factor=w) if w != 1 else m.left for m, w in zip(models, weights, strict=True)
    ]
    return Factors(beside(*lefts, axis=1), beside(*[each.right for each in models], axis=0))


def _beside_spec(first: Spec, *others: Spec, axis: int) -> Spec:
    shape = list(first.shape)
    shape[axis] += sum(each.shape[axis] for each in others)
    return Spec(tuple(shape), first.dtype)


@op(small=True, infer=lambda first, *others, axis: _beside_spec(first, *others, axis=axis))
def beside(*tensors: Any, axis: int) -> Any:
    """Small tensors side by side along an axis that they have."""
    import torch

    return torch.cat(tensors, axis)


def cut_to_rank(factors: Factors, rank: int) -> Factors:
    """The nearest product of factors of lower rank: the largest singular values, all else lost."""
    packed = _compress(factors.left, factors.right, rank=rank)
    return _unpacked(packed, factors.shape, rank)


def factors_of(tensor: Task, rank: int) -> Factors:
    """The product of factors of a rank that is nearest to a matrix."""
    shape = (tensor.spec.shape[0], tensor.spec.row)
    return _unpacked(_decompose(tensor, rank=rank), shape, rank)


def _unpacked(packed: Task, shape: tuple[int, int], rank: int) -> Factors:
    rows, columns = shape
    right = part(packed, axis=0, first=rows, count=columns)
    return Factors(
        part(packed, axis=0, first=0, count=rows),
        factor(right, shape=(columns, rank), order=(1, 0)),
    )


def _packed_spec(left: Spec, right: Spec, *, rank: int) -> Spec:
    """Left factor and right one, turned, below each other: one op gives one tensor."""
    return Spec((left.shape[0] + right.shape[1], rank), "float32")


@op(small=True, copies=16, infer=_packed_spec)
def _compress(left: Any, right: Any, *, rank: int) -> Any:
    near, values, far = _svd_of_product(left, right)
    return _packed(near, values, far, rank)


@op(
    small=True,
    copies=16,
    infer=lambda left, right: Spec((min(*left.shape, *right.shape),), "float64"),
)
def spectrum(left: Any, right: Any) -> Any:
    """The singular values of a product of factors, falling."""
    return _svd_of_product(left, right)[1]


def _svd_of_product(left: Any, right: Any) -> tuple[Any, Any, Any]:
    """The singular value decomposition of left·right, at the cost of their rank."""
    import torch

    near, of_near = torch.linalg.qr(left.double())
    far, of_far = torch.linalg.qr(right.double().T)
    inner, values, outer = torch.linalg.svd(of_near @ of_far.T, full_matrices=False)
    return near @ inner, values, far @ outer.T


def _packed(near: Any, values: Any, far: Any, rank: int) -> Any:
    """Both factors, each with the roots of the largest singular values."""
    import torch

    roots = values[:rank].sqrt()
    return torch.cat([near[:, :rank] * roots, far[:, :rank] * roots]).float()


@op(
    small=True,
    copies=14,
    infer=lambda tensor, *, rank: Spec((tensor.shape[0] + tensor.row, rank), "float32"),
)
def _decompose(tensor: Any, *, rank: int) -> Any:
    """The leading directions of a matrix; if they are few, found by following random ones.

    These are always the same. Following them decides between values that are a little apart.
    """
    import torch

    matrix = tensor.reshape(len(tensor), -1)
    if not matrix.isfinite().all():
        fact = "a matrix with NaN or infinite entries has no directions"
        raise MergeGraphError(f"{fact}; look for them in the adapters")
    if rank + _MORE > _MOST * min(matrix.shape):
        near, values, far = torch.linalg.svd(matrix.double(), full_matrices=False)
        return _packed(near, values, far.T, rank)
    generator = torch.Generator().manual_seed(0)
    followed = torch.randn(matrix.shape[1], rank + _MORE, generator=generator)
    for _ in range(_ROUNDS):
        near = torch.linalg.qr(matrix @ followed)[0]
        followed = torch.linalg.qr(matrix.T @ near)[0]
    near = torch.linalg.qr(matrix @ followed)[0]
    left, values, far = _svd_of_product(near, near.T @ matrix)
    return _packed(left, values, far, rank)
