"""Top-k greedy merging over generations, with and without exploration by kinship.

After "Exploring Model Kinship for Merging Large Language Models", arXiv:2410.12613.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import isfinite
from statistics import fmean

from mergegraph.breed.members import Birth, Examine, Kinships, Member, Pair, best_of

EARLY, SAME, LAST = "early stop", "the same top", "max generations"


@dataclass(frozen=True)
class Rules:
    """How a population is bred.

    `is_kin` says of the mean kinship within the top whether that is too much of it; without it
    nothing stops early. `nearness` is larger for the nearer of two kinships.
    """

    k: int = 3
    explores: bool = True
    from_top: bool = False
    is_kin: Callable[[float], bool] | None = None
    nearness: Callable[[float], float] = float
    max_generations: int = 10
    word: str = "model-"


@dataclass(frozen=True)
class Generation:
    """What was to be new in a generation, what came of it, and the best after it.

    `kinship` is the mean within the top, and `stopped` says why there is no further one.
    """

    number: int
    births: tuple[Birth, ...]
    new: tuple[Member, ...]
    top: tuple[Member, ...]
    kinship: float | None
    stopped: str | None


def generations(
    foundation: Sequence[Birth], rules: Rules, examine: Examine, kinships: Kinships | None
) -> Iterator[Generation]:
    """Every generation as it comes, the foundation models first, as the one of number 0.

    `kinships` may be left out where nothing explores and nothing stops early.
    """
    pool = _Pool(rules, examine)
    new = pool.admit(foundation)
    top = best_of(pool.members, rules.k)
    told = Generation(0, tuple(foundation), new, top, None, None if len(new) > 1 else SAME)
    yield told
    while told.stopped is None:
        number = told.number + 1
        births = pool.pairs(told.top if number > 1 else pool.members, number)
        if rules.explores and number > 1 and kinships:
            births += pool.exploration(told.top, births, number, kinships)
        new = pool.admit(births)
        top = best_of(pool.members, rules.k)
        kinship = mean_kinship(top, kinships) if kinships else None
        is_same = number > 1 and set(top) == set(told.top)
        stopped = _stop(rules, number, kinship, is_same=is_same)
        told = Generation(number, tuple(births), new, top, kinship, stopped)
        yield told


def mean_kinship(members: Iterable[Member], kinships: Kinships) -> float | None:
    """The mean over all pairs, but for those whose kinship is undefined; None if all are."""
    known = [each for each in kinships(_pairs(members)) if each is not None]
    return fmean(known) if known else None


def _stop(rules: Rules, number: int, kinship: float | None, *, is_same: bool) -> str | None:
    """Why a generation is the last one; None if it is not."""
    if is_same:
        return SAME
    if kinship is not None and rules.is_kin and rules.is_kin(kinship):
        return EARLY
    return LAST if number >= rules.max_generations else None


@dataclass
class _Pool:
    """The members as they grow, and who has been merged with whom."""

    rules: Rules
    examine: Examine
    members: list[Member] = field(default_factory=list)
    merged: set[frozenset[str]] = field(default_factory=set)

    def admit(self, births: Sequence[Birth]) -> tuple[Member, ...]:
        """Have models made and examined; those with a score that is a number become members."""
        self.merged |= {frozenset(each.parents) for each in births}
        pairs = zip(births, self.examine(births) if births else (), strict=True)
        new = tuple(Member(birth, s) for birth, s in pairs if s is not None and isfinite(s))
        self.members += new
        return new

    def pairs(self, members: Iterable[Member], number: int) -> list[Birth]:
        """Births of all pairs that have not been merged."""
        found = [pair for pair in _pairs(members) if frozenset(pair) not in self.merged]
        word = f"{self.rules.word}{number}"
        return [Birth(f"{word}-{i}", number, pair) for i, pair in enumerate(found, start=1)]

    def exploration(
        self, top: Sequence[Member], births: Sequence[Birth], number: int, kinships: Kinships
    ) -> list[Birth]:
        """The birth that joins the best with the candidate that is the least akin to it, if any."""
        best = top[0].name
        met = self.merged | {frozenset(each.parents) for each in births}
        among = [each.name for each in (top if self.rules.from_top else self.members)]
        free = [(best, name) for name in among if name != best and {best, name} not in met]
        found = zip(free, kinships(free), strict=True)
        known = [(self.rules.nearness(each), pair) for pair, each in found if each is not None]
        if not known:
            return []
        pair = min(known, key=lambda each: each[0])[1]  # of equals the one that is older
        return [Birth(f"{self.rules.word}{number}-exp", number, pair, explores=True)]


def _pairs(members: Iterable[Member]) -> list[Pair]:
    return list(combinations([each.name for each in members], 2))
