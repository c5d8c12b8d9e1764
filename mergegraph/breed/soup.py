"""Greedy soup: an average that takes a model in where that does no harm (arXiv:2203.05482)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from operator import ge, gt
from types import MappingProxyType

# whether a new score is good enough, given the one there is: of the paper, and of its script
ACCEPT: Mapping[str, Callable[[float, float], bool]] = MappingProxyType({">=": ge, ">": gt})


@dataclass(frozen=True)
class Try:
    """A model that was tried with the ingredients there were, the score of it, and the answer.

    The score is None where the average could not be made, or had no score that is a number.
    """

    candidate: int
    with_ingredients: tuple[int, ...]
    score: float | None
    is_accepted: bool


@dataclass(frozen=True)
class Soup:
    """Models by their place in what was given: as they were tried, those taken, every try."""

    order: tuple[int, ...]
    ingredients: tuple[int, ...]
    tries: tuple[Try, ...]
    score: float | None


def greedy_soup(
    scores: Sequence[float | None],
    examine: Callable[[Sequence[int]], float | None],
    *,
    accept: str = ">=",
    on_try: Callable[[Try], None] = lambda _told: None,
) -> Soup:
    """Try models in the order of their scores; `examine` scores the uniform average of some.

    A model without a score is left out.
    """
    known = [(i, score) for i, score in enumerate(scores) if score is not None and isfinite(score)]
    order = [i for i, _ in sorted(known, key=lambda each: -each[1])]
    if not order:
        return Soup((), (), (), None)
    best, taken, tries = dict(known)[order[0]], (order[0],), []
    for candidate in order[1:]:
        found = examine((*taken, candidate))
        is_number = found is not None and isfinite(found)
        is_accepted = is_number and ACCEPT[accept](found, best)  # type: ignore[arg-type]
        tries.append(Try(candidate, taken, found if is_number else None, is_accepted))
        on_try(tries[-1])
        if is_accepted:
            taken, best = (*taken, candidate), found  # type: ignore[assignment]
    return Soup(tuple(order), taken, tuple(tries), best)
