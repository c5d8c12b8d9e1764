"""Members of a population: models with scores, and the births of those that are yet to be made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

Pair = tuple[str, str]
Kinships = Callable[[Sequence[Pair]], Sequence[float | None]]

_DIGITS = 9  # of a gain: further ones are what rounding leaves


@dataclass(frozen=True)
class Birth:
    """A model that is to be made of its parents; it explores if their kinship is why."""

    name: str
    generation: int
    parents: tuple[str, ...] = ()
    explores: bool = False


@dataclass(frozen=True)
class Member:
    """A model of the pool; of two scores the higher one is better, whatever was measured."""

    birth: Birth
    score: float

    @property
    def name(self) -> str:
        """What it is called."""
        return self.birth.name


# scores of models in order; None for one that cannot be made or has no score that is a number
Examine = Callable[[Sequence[Birth]], Sequence[float | None]]


def best_of(pool: Iterable[Member], count: int) -> tuple[Member, ...]:
    """The best members, best first; of equals those that have been there for longer."""
    return tuple(sorted(pool, key=lambda each: -each.score)[:count])


def merge_gain(merged: float, parents: Sequence[float]) -> float:
    """By how much a merge is better than its parents are on average (arXiv:2410.12613)."""
    return round(merged - fmean(parents), _DIGITS)
