"""Kinship of members, each pair measured once: of many at a time, in one pass over their models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from mergegraph.breed.members import Pair
from mergegraph.search.journal import Journal

_KINSHIP = "kinship"

# the kinship of every pair of some members
Measure = Callable[[Sequence[str]], Mapping[Pair, float | None]]


class Kin:
    """Has members compared, and remembers."""

    def __init__(self, measure: Measure, journal: Journal) -> None:
        self._measure = measure
        self._journal = journal
        self._known: dict[frozenset[str], float | None] = {}
        for _, told in journal.facts(_KINSHIP):
            self._learn(told)

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        """The kinship of each pair."""
        unknown = [pair for pair in pairs if frozenset(pair) not in self._known]
        names = list(dict.fromkeys(name for pair in unknown for name in pair))
        if names:
            found = self._measure(names)
            told = [(a, b, found[a, b]) for a, b in combinations(names, 2)]
            # all of them in one line: what is known after a kill is what would have been
            self._journal.note(_KINSHIP, "\n".join(names), told)
            self._learn(told)
        return [self._known[frozenset(pair)] for pair in pairs]

    def known(self, pair: Pair) -> float | None:
        """The kinship of a pair if it was measured, and is defined."""
        return self._known.get(frozenset(pair))

    def _learn(self, told: Sequence[tuple[str, str, float | None]]) -> None:
        self._known |= {frozenset((a, b)): kinship for a, b, kinship in told}
