"""Clustering: which models are alike, as a tree grown from the leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Branch:
    """A leaf, by its number, or two branches joined at a height."""

    height: float
    leaf: int | None = None
    parts: tuple[Branch, ...] = ()

    @property
    def leaves(self) -> Iterator[int]:
        """The leaves in the order in which they are drawn."""
        if self.leaf is not None:
            yield self.leaf
        for part in self.parts:
            yield from part.leaves


def clustered(distances: Sequence[Sequence[float]]) -> Branch:
    """Join what is nearest until all is one; distances of groups are means over their pairs.

    Of equal distances those of the first leaves are joined first, so equal input gives one tree.
    """
    branches = [Branch(0.0, leaf) for leaf in range(len(distances))]
    while len(branches) > 1:
        found = [list(each.leaves) for each in branches]
        pairs = [(i, j) for j in range(len(branches)) for i in range(j)]
        i, j = min(pairs, key=lambda pair: _mean(distances, found[pair[0]], found[pair[1]]))
        height = _mean(distances, found[i], found[j])
        parts = (branches[i], branches[j])
        height = max(height, *(each.height for each in parts))
        rest = [each for n, each in enumerate(branches) if n not in (i, j)]
        branches = [*rest[:i], Branch(height, None, parts), *rest[i:]]
    return branches[0]


def _mean(
    distances: Sequence[Sequence[float]], first: Sequence[int], second: Sequence[int]
) -> float:
    """The mean distance of the pairs of two groups; what is no number counts as far."""
    found = [distances[a][b] for a in first for b in second]
    known = [each if each == each else 2.0 for each in found]  # noqa: PLR0124 - not a number
    return sum(known) / len(known)
