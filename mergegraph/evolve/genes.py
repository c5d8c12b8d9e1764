"""Genes: what a search may change, each a coordinate that stands for a value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import Any

Coordinate = float | int
Point = tuple[Coordinate, ...]  # a coordinate for each gene

DIGITS = 6  # significant ones of numbers: what is written is what was examined
_MOST_LEVELS = 100  # from which on steps are as good as none to a sampler


@dataclass(frozen=True)
class Gene:
    """One thing that a search may change.

    Without `levels` its coordinate is a number within `bounds`, and else the number of a level.
    Levels are in order, or are as different from one another as any two.
    """

    name: str
    form: str  # range, choice or switch
    bounds: tuple[float, float] = (0.0, 1.0)
    levels: int | None = None
    is_ordered: bool = True
    start: Coordinate = 0.5
    has_start: bool = False  # whether the recipe says it
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] | None = None
    value: Callable[[Coordinate], Any] = lambda coordinate: coordinate
    differing: tuple[float, float] | None = None  # within bounds, if others have the same values

    def within(self, share: float) -> Coordinate:
        """The coordinate at a share of the way through its bounds or levels, from 0 to 1."""
        if self.levels is not None:
            return min(int(share * self.levels), self.levels - 1)
        low, high = self.bounds
        return low + share * (high - low)


def rounded(number: float) -> float:
    """A number with as many digits as are written."""
    return float(f"{number:.{DIGITS}g}")


def written(low: float, high: float) -> tuple[float, float]:
    """The first and the last number of a range that can be written; the last may be the lower."""
    first = Context(prec=DIGITS, rounding=ROUND_CEILING).create_decimal(repr(low))
    last = Context(prec=DIGITS, rounding=ROUND_FLOOR).create_decimal(repr(high))
    return float(first), float(last)


def number_text(number: float) -> str:
    """A number as recipes have it."""
    return str(number) if isinstance(number, int) else repr(rounded(number))


def steady(name: str, low: float, high: float, start: float | None, *, is_log: bool) -> Gene:
    """A number anywhere from `low` to `high`, evenly or by its logarithm."""
    least, most = written(low, high)
    begun, at = _scale(low, high, start, is_log=is_log)

    def value(coordinate: Coordinate) -> float:
        return min(most, max(least, rounded(at(coordinate))))

    return Gene(name, "range", start=begun, low=low, high=high, value=value)


def _scale(
    low: float, high: float, start: float | None, *, is_log: bool
) -> tuple[float, Callable[[Coordinate], float]]:
    """The coordinate of a start, and the number at a coordinate."""
    first, last = (math.log(low), math.log(high)) if is_log else (low, high)

    def at(coordinate: Coordinate) -> float:
        found = first + coordinate * (last - first)
        return math.exp(found) if is_log else found

    begun = None if start is None else math.log(start) if is_log else start
    return 0.5 if begun is None else (begun - first) / (last - first), at


def stepped(name: str, values: Sequence[float], start: float | None) -> Gene:
    """A number out of many in order, from the first to the last."""
    count = len(values)
    span = values[-1] - values[0]
    begun = count // 2 if start is None else round((start - values[0]) / span * (count - 1))
    known = values
    if count <= _MOST_LEVELS:
        return Gene(
            name,
            "range",
            levels=count,
            start=begun,
            has_start=start is not None,
            low=values[0],
            high=values[-1],
            value=lambda level: known[int(level)],
        )
    return Gene(
        name,
        "range",
        start=(begun + 0.5) / count,
        low=values[0],
        high=values[-1],
        value=lambda share: known[min(int(share * count), count - 1)],
    )


def logarithmic_whole(name: str, low: int, high: int, start: float | None) -> Gene:
    """A whole number from `low` to `high`, by its logarithm."""
    begun, at = _scale(low, high, start, is_log=True)

    def value(coordinate: Coordinate) -> int:
        return min(high, max(low, round(at(coordinate))))

    return Gene(name, "range", start=begun, low=low, high=high, value=value)


def chosen(name: str, labels: Sequence[str], start: int | None, *, is_ordered: bool) -> Gene:
    """One of some things; its value is which."""
    return Gene(
        name,
        "choice",
        levels=len(labels),
        is_ordered=is_ordered,
        start=(len(labels) // 2 if is_ordered else 0) if start is None else start,
        has_start=start is not None,
        choices=tuple(labels),
    )


def switch(name: str, *, is_on: bool | None = None) -> Gene:
    """Something that is in or out; above a half it is in. Its value is the coordinate."""
    start = 0.5 if is_on is None else 0.75 if is_on else 0.25
    return Gene(name, "switch", start=start)


def weight(name: str, start: float, *, may_be_negative: bool) -> Gene:
    """A weight as arXiv:2403.13187 has it searched: any number, of which the magnitude counts."""

    def value(coordinate: Coordinate) -> float:
        return rounded(coordinate if may_be_negative else abs(coordinate))

    low = -_FARTHEST if may_be_negative else 0.0
    return Gene(
        name,
        "range",
        (-_FARTHEST, _FARTHEST),
        start=start,
        low=low,
        high=_FARTHEST,
        value=value,
        differing=(low, _FARTHEST),
    )


def density(name: str, start: float) -> Gene:
    """A density searched the same way: the magnitude, at most 1."""

    def value(coordinate: Coordinate) -> float:
        return rounded(min(1.0, abs(coordinate)))

    return Gene(
        name,
        "range",
        (-_BEYOND_ONE, _BEYOND_ONE),
        start=start,
        low=0.0,
        high=1.0,
        value=value,
        differing=(0.0, 1.0),
    )


_FARTHEST = 2.0  # of weights
_BEYOND_ONE = 1.5  # of densities, so that 1 is no edge


def switched_on(coordinates: Sequence[Coordinate], least: int, most: int) -> list[int]:
    """Which of some switches are on: those above a half, or the highest of too few or too many."""
    on = [i for i, each in enumerate(coordinates) if each > 0.5]  # noqa: PLR2004 - a half
    if least <= len(on) <= most:
        return on
    ranked = sorted(range(len(coordinates)), key=lambda i: (-coordinates[i], i))
    return sorted(ranked[: least if len(on) < least else most])
