"""Task vectors in the directions that they have in common (arXiv:2410.19735)."""

from collections.abc import Iterator
from typing import Any

from mergegraph import Spec, Task, op
from mergegraph.ops.order import kept_count
from mergegraph_methods.parts.subspaces import NOTHING, as_matrix, eigen, pieces, product

NO_LENGTH = 1e-5  # singular values up to this are none, as in the authors' code
_ROWS = 1024  # of a matrix that are brought to float64 at a time


def _directions_of(*deltas: Spec) -> Spec:
    rows, columns = deltas[0].shape[0], deltas[0].row
    return Spec((min(rows, len(deltas) * columns), rows), "float32")


@op(copies=14, infer=_directions_of)
def shared_directions(*deltas: Any) -> Any:
    """The left singular directions, in rows, of task vectors side by side; none is zeros."""
    matrices = [as_matrix(each) for each in deltas]
    rows, columns = matrices[0].shape
    if rows <= len(matrices) * columns:
        gram = product(matrices[0], matrices[0])
        for each in matrices[1:]:
            gram += product(each, each)
        lengths, found = _strongest(gram)
    else:
        gram = matrices[0].new_empty(len(matrices), columns, len(matrices), columns).double()
        for i, one in enumerate(matrices):
            for j, other in enumerate(matrices):
                gram[i, :, j] = product(one.T, other.T)
        lengths, vectors = _strongest(gram.reshape(len(matrices) * columns, -1))
        del gram
        found = vectors.new_zeros(len(vectors), rows)
        for part, each in zip(vectors.split(columns, dim=1), matrices, strict=True):
            for target, (own,) in zip(pieces_of(found), pieces(each.T), strict=True):
                target.addmm_(part, own.double())
        found /= lengths.where(lengths > 0, 1.0)[:, None]
    return found.mul_(_is_kept(lengths)[:, None]).float()


@op(small=True, copies=12, infer=lambda left, *_rights: Spec(left.shape[::-1], "float32"))
def shared_directions_of_factors(left: Any, *rights: Any) -> Any:
    """The same of products of factors, given all left ones side by side, and the right ones."""
    import torch

    outer, inner = torch.linalg.qr(left.double())
    gram = inner.new_zeros(len(inner), len(inner))
    for own, right in zip(inner.split([len(each) for each in rights], dim=1), rights, strict=True):
        gram += own @ product(right, right) @ own.T
    lengths, vectors = _strongest(gram)
    result = left.new_zeros(left.shape[::-1])
    result[: len(vectors)] = (vectors @ outer.T).mul_(_is_kept(lengths)[:, None])
    return result


def _strongest(gram: Any) -> tuple[Any, Any]:
    """The roots of a Gram matrix's eigenvalues, falling, and the directions of them in rows."""
    squares, vectors = eigen(gram)
    return squares.clamp(min=0).sqrt().flip(0), vectors.T.flip(0)


def _is_kept(lengths: Any) -> Any:
    """Which singular values are more than none, and more than the rounding of the largest."""
    return lengths > max(NO_LENGTH, float(lengths[:1].sum()) * NOTHING)


def pieces_of(matrix: Any) -> Iterator[Any]:
    """The columns of a matrix, some at a time."""
    return (piece for (piece,) in pieces(matrix))


@op(
    copies=4,
    infer=lambda rows, delta: Spec((rows.shape[0] * delta.row,), "float32"),
)
def along(rows: Any, delta: Any) -> Any:
    """What a task vector is along each direction, one after the other."""
    matrix = as_matrix(delta)
    result = matrix.new_empty(len(rows), matrix.shape[1])
    _write(result, rows, matrix)
    return result.reshape(-1)


@op(
    small=True,
    copies=6,
    infer=lambda rows, _left, right: Spec((rows.shape[0] * right.shape[1],), "float32"),
)
def along_of_factors(rows: Any, left: Any, right: Any) -> Any:
    """The same of a product of factors."""
    return ((rows.double() @ left.double()) @ right.double()).float().reshape(-1)


@op(small=True, infer=lambda _rows, **_numbers: Spec((1,), "int64"))
def count_along(rows: Any, *, density: float, columns: int) -> Any:
    """How many entries a density keeps of those that lie along directions there are."""
    import torch

    count = int(rows.any(dim=1).sum())
    return torch.tensor([kept_count(density, count * columns)])


@op(copies=4, infer=lambda _rows, _merged, *, shape: Spec(shape, "float32"))
def back(rows: Any, merged: Any, *, shape: tuple[int, ...]) -> Any:
    """The task vector that is so much along each direction."""
    result = merged.new_empty(shape)
    _write(as_matrix(result), rows.T, merged.reshape(len(rows), -1))
    return result


def _write(out: Any, first: Any, second: Any) -> None:
    """Put a product, summed up in float64, into a tensor, with little beside it."""
    for target, part in pieces(out, second):
        for own, row in zip(target.split(_ROWS), first.split(_ROWS), strict=True):
            own.copy_(row.double() @ part.double())


def flat_zeros(like: Task) -> Task:
    """Zeros in the shape of a task."""
    return _zeros(like)


@op(cut="pointwise")
def _zeros(tensor: Any) -> Any:
    import torch

    return torch.zeros_like(tensor)
