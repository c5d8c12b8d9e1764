"""Ops with products of small factors: low-rank changes of weights, and what goes with them.

Bits must not depend on how strips are cut, and those of a matrix product may vary with its number
of rows. So products, and sums over rows, are made in blocks that the shapes alone determine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.spec import Spec
from mergegraph.tasks import op

_BLOCK = 32 * 1024  # entries of a block of rows
_LEAST = 8  # rows of a block: fewer are no faster


def _ordered(shape: tuple[int, ...], order: tuple[int, ...]) -> Spec:
    return Spec(tuple(shape[axis] for axis in order), "float32")


@op(
    small=True,
    copies=2,
    infer=lambda _tensor, *, shape, order: _ordered(shape, order),
)
def factor(tensor: Any, *, shape: tuple[int, ...], order: tuple[int, ...]) -> Any:
    """A small tensor in float32, brought to a shape, its axes then put in order."""
    return tensor.float().reshape(shape).permute(order).contiguous()


def _part_spec(tensor: Spec, axis: int, first: int, count: int) -> Spec:
    shape = list(tensor.shape)
    assert 0 <= first <= first + count <= shape[axis], "parts lie inside of their tensors"
    shape[axis] = count
    return Spec(tuple(shape), tensor.dtype)


@op(
    small=True,
    infer=lambda tensor, *, axis, first, count: _part_spec(tensor, axis, first, count),
)
def part(tensor: Any, *, axis: int, first: int, count: int) -> Any:
    """Some places of a small tensor along an axis."""
    return tensor.narrow(axis, first, count).clone()


def _check_product(weight: Spec, left: Spec, right: Spec, **_numbers: Any) -> Spec:
    """The weight's spec; raises MergeGraphError if the product has another shape."""
    count, rows, rank = left.shape
    shape = weight.shape if count > 1 else (1, *weight.shape)
    columns = Spec(shape[1:], "float32").row
    if (count, rows) != shape[:2] or right.shape != (count, rank, columns):
        told = f"{left.shape} and {right.shape}"
        raise MergeGraphError(f"factors of shapes {told} do not fit a weight of {weight.shape}")
    return weight


@op(cut="pointwise", copies=3, infer=_check_product, carries=1)
def add_product(weight: Any, left: Any, right: Any, *, scale: float, start: int) -> Any:
    """A weight + scale·left·right, of matrices side by side: `[n, rows, r]` · `[n, r, columns]`."""
    result = weight.clone()
    stop = start + len(weight)
    for at, product in _products(left, right, start, stop):
        low, high = max(start, at), min(stop, at + len(product))
        result[low - start : high - start].add_(product[low - at : high - at] * scale)
    return result


def _products(left: Any, right: Any, start: int, stop: int) -> Iterator[tuple[int, Any]]:
    """The blocks of the product in which the entries from start to stop lie, each with its place.

    Of every matrix they begin at its first row, and the last one is filled up with zeros: a row is
    always at the same place of a product of the same shape.
    """
    _, rows, rank = left.shape
    columns = right.shape[2]
    height = _height(rows, columns)
    row, end = (start // columns, -(-stop // columns)) if columns else (0, 0)
    while row < end:
        number, own = divmod(row, rows)
        first = own - own % height
        given = left[number, first : first + height]
        block = left.new_zeros(height, rank)
        block[: len(given)] = given
        product = (block @ right[number])[: len(given)]
        yield (number * rows + first) * columns, product.reshape(-1)
        row = number * rows + first + len(given)


def _height(rows: int, columns: int) -> int:
    """Rows of a block."""
    fitting = _BLOCK // max(1, columns)
    return min(max(1, rows), max(_LEAST, fitting - fitting % _LEAST))


def _check_lengths(weight: Spec, lengths: Spec, axis: int) -> Spec:
    """The weight's spec; raises MergeGraphError if there are not as many lengths as needed."""
    if len(weight.shape) < 2 or lengths.shape != (weight.shape[axis],):  # noqa: PLR2004
        fact = f"{lengths.numel} lengths do not fit a weight of {weight.shape}"
        raise MergeGraphError(fact)
    return weight


@op(
    cut="rowwise",
    copies=4,
    infer=lambda weight, lengths: _check_lengths(weight, lengths, 0),
)
def set_row_lengths(weight: Any, lengths: Any, *, start: int) -> Any:
    """The rows of a weight, each brought to a length (DoRA, arXiv:2402.09353); zeros stay."""
    result = weight.clone()
    columns = max(1, weight.shape[1])
    first = start // columns
    for own in result.split(_height(len(lengths), columns)):
        norms = own.double().square_().sum(1, keepdim=True).sqrt_().float()
        wanted = lengths[first : first + len(own), None]
        own.mul_((wanted / norms).where(norms > 0, 0.0))
        first += len(own)
    return result


@op(
    cut="fold",
    copies=4,
    infer=lambda _weight, *, columns: Spec((columns,), "float64"),
)
def column_squares(weight: Any, *, columns: int, start: int) -> Any:
    """Σx² of every column, of a strip that may begin in a row."""
    import torch

    lead = min(-start % columns, len(weight))  # what ends the row begun before
    rest = (len(weight) - lead) % columns
    sizes = [lead, len(weight) - lead - rest, rest]
    places = [(start % columns, lead), (0, columns), (0, rest)]
    result = torch.zeros(columns, dtype=torch.float64, device=weight.device)
    for (place, width), given in zip(places, weight.split(sizes), strict=True):
        if len(given):
            squares = given.reshape(-1, width).double().square_()
            result[place : place + width] += squares.sum(0)
    return result


@op(
    cut="rowwise",
    copies=2,
    infer=lambda weight, lengths, _squares: _check_lengths(weight, lengths, 1),
)
def set_column_lengths(weight: Any, lengths: Any, squares: Any) -> Any:
    """The columns of a matrix, each brought to a length, by the Σx² that it has; zeros stay."""
    norms = squares.sqrt().float()
    return weight * (lengths / norms).where(norms > 0, 0.0)


@op(cut="rowwise", infer=lambda weight, rows, *, places: _check_rows(weight, rows, places))
def put_rows(weight: Any, rows: Any, *, places: tuple[int, ...], start: int) -> Any:
    """The weight with some of its rows replaced."""
    result = weight.clone()
    first = start // max(1, weight.shape[1])
    for row, place in zip(rows, places, strict=True):
        if first <= place < first + len(result):
            result[place - first] = row
    return result


def _check_rows(weight: Spec, rows: Spec, places: tuple[int, ...]) -> Spec:
    """The weight's spec; raises MergeGraphError if the rows do not fit it."""
    if rows.shape != (len(places), *weight.shape[1:]):
        raise MergeGraphError(
            f"{len(places)} rows of shape {rows.shape} do not fit a weight of {weight.shape}"
        )
    if lost := [place for place in places if not 0 <= place < weight.shape[0]]:
        raise MergeGraphError(f"there is no row {lost[0]} in a weight of {weight.shape}")
    return weight
