"""Sums over differences of models, and the three likenesses that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from types import MappingProxyType

from mergegraph.errors import MergeGraphError, nearest

Row = tuple[float, ...]
Table = tuple[Row, ...]
Likenesses = tuple[tuple[float | None, ...], ...]

_NO_SPREAD = 1e-12  # of the squares of a difference, what rounding may leave of a constant one


@dataclass(frozen=True)
class Sums:
    """What the differences of models from a base come to over some entries.

    `base` is the sum of the base's squares, `sums` and `dots` are those of the differences and of
    their products. `same` and `opposite` count entries where both of a pair are not zero, by their
    signs; the diagonal of `same` counts those that a model has changed.
    """

    entries: int
    base: float
    sums: Row
    dots: Table
    same: Table
    opposite: Table


def total(parts: Sequence[Sums], count: int) -> Sums:
    """The sums over all entries of some parts, rounded once; `count` is that of the models."""
    return Sums(
        entries=sum(each.entries for each in parts),
        base=fsum(each.base for each in parts),
        sums=tuple(fsum(each.sums[i] for each in parts) for i in range(count)),
        dots=_added([each.dots for each in parts], count),
        same=_added([each.same for each in parts], count),
        opposite=_added([each.opposite for each in parts], count),
    )


def _added(tables: Sequence[Table], count: int) -> Table:
    return tuple(
        tuple(fsum(each[i][j] for each in tables) for j in range(count)) for i in range(count)
    )


def pearson(sums: Sums, i: int, j: int) -> float | None:
    """The correlation of two differences; None where one is constant."""
    spreads = _spread(sums, i, i), _spread(sums, j, j)
    if any(s <= _NO_SPREAD * sums.dots[k][k] for s, k in zip(spreads, (i, j), strict=True)):
        return None
    return _bounded(_spread(sums, i, j) / sqrt(spreads[0] * spreads[1]))


def _spread(sums: Sums, i: int, j: int) -> float:
    return sums.dots[i][j] - sums.sums[i] * sums.sums[j] / sums.entries if sums.entries else 0.0


def cosine(sums: Sums, i: int, j: int) -> float | None:
    """The cosine of two differences, with its sign; None where one is zero."""
    if not sums.dots[i][i] or not sums.dots[j][j]:
        return None
    return _bounded(sums.dots[i][j] / sqrt(sums.dots[i][i] * sums.dots[j][j]))


def euclidean(sums: Sums, i: int, j: int) -> float | None:
    """The distance of two models."""
    if i == j:
        return 0.0
    return sqrt(max(0.0, sums.dots[i][i] + sums.dots[j][j] - 2 * sums.dots[i][j]))


def _bounded(value: float) -> float:
    """What rounding has put outside of [-1, 1], on its edge."""
    return min(1.0, max(-1.0, value))


Likeness = Callable[[Sums, int, int], float | None]

METRICS: Mapping[str, Likeness] = MappingProxyType(
    {"pcc": pearson, "cosine": cosine, "euclidean": euclidean}
)
AGGREGATES = ("global", "per_tensor")


def check_words(metric: str, aggregate: str = AGGREGATES[0]) -> None:
    """Raise MergeGraphError if there is no such metric, or no such way to put tensors together."""
    if metric not in METRICS:
        raise MergeGraphError(f"no metric '{metric}'{nearest(metric, METRICS)}")
    if aggregate not in AGGREGATES:
        raise MergeGraphError(f"no aggregate '{aggregate}'{nearest(aggregate, AGGREGATES)}")


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are defined; None if none is."""
    defined = [each for each in values if each is not None]
    return fsum(defined) / len(defined) if defined else None


def weighted(values: Sequence[tuple[int, float | None]]) -> float | None:
    """The mean of the values that are defined, each with its weight."""
    defined = [(weight, each) for weight, each in values if each is not None]
    whole = sum(weight for weight, _ in defined)
    return fsum(weight * each for weight, each in defined) / whole if whole else None
