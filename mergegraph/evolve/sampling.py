"""Samplers: which points are examined next, generation by generation; and which are best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from math import floor, log
from typing import Protocol

from mergegraph.errors import MergeGraphError
from mergegraph.evolve.genes import Coordinate, Gene, Point

Losses = tuple[float, ...]  # of each objective one, less is better
SAMPLERS = ("cmaes", "nsga2", "random", "grid")
_BATCH = 16
_LARGEST_GRID = 100_000


class Sampler(Protocol):
    """Asks for points, generation by generation, and is told what came of them.

    The same seed and the same losses give the same points. A loss of None is of a point for which
    there is no score. No more is asked once `ask` gives nothing.
    """

    def ask(self) -> list[Point]:
        """The points of the next generation."""

    def tell(self, losses: Sequence[Losses | None]) -> None:
        """Take note of what came of a whole generation."""


def default_population(genes: int) -> int:
    """How many points a generation has: 4 + ⌊3 ln n⌋, as CMA-ES was published with."""
    return 4 + floor(3 * log(max(1, genes)))


class RandomSampler:
    """Points anywhere in the space, all equally likely."""

    def __init__(self, genes: Sequence[Gene], *, seed: int, population: int | None = None) -> None:
        import numpy as np

        self._genes = genes
        self._draws = np.random.Generator(np.random.Philox(seed))
        self._count = population or _BATCH

    def ask(self) -> list[Point]:
        """The points of the next generation."""
        shares = self._draws.random((self._count, len(self._genes)))
        return [
            tuple(gene.within(float(share)) for gene, share in zip(self._genes, row, strict=True))
            for row in shares
        ]

    def tell(self, losses: Sequence[Losses | None]) -> None:
        """What came of them changes nothing."""


class GridSampler:
    """Every point of a grid: all choices, and so many points of every range."""

    def __init__(
        self, genes: Sequence[Gene], *, points: int, population: int | None = None
    ) -> None:
        self.size = grid_size(genes, points)
        self._points: Iterator[Point] = product(*(_steps(each, points) for each in genes))
        self._count = population or _BATCH

    def ask(self) -> list[Point]:
        """The points of the next generation."""
        return list(islice(self._points, self._count))

    def tell(self, losses: Sequence[Losses | None]) -> None:
        """What came of them changes nothing."""


def grid_size(genes: Sequence[Gene], points: int) -> int:
    """How many points a grid has; raises MergeGraphError if they are too many."""
    size = 1
    for each in genes:
        size *= len(_steps(each, points))
    if size > _LARGEST_GRID:
        remedy = "take fewer --points, or another sampler"
        raise MergeGraphError(f"--sampler grid: {len(genes)} genes have {size} points; {remedy}")
    return size


def _steps(gene: Gene, points: int) -> list[Coordinate]:
    """The coordinates of a gene on a grid."""
    if gene.form == "switch":
        return [0.0, 1.0]
    if gene.levels is not None:
        count = gene.levels if gene.form == "choice" else min(points, gene.levels)
        return [round(i * (gene.levels - 1) / max(1, count - 1)) for i in range(count)]
    low, high = gene.differing or gene.bounds
    return [low + i * (high - low) / max(1, points - 1) for i in range(points)]


def front_of(losses: Sequence[Losses | None]) -> list[int]:
    """The numbers of those that no other is as good as in everything and better in something."""
    first: dict[Losses, int] = {}
    for i, each in enumerate(losses):
        if each is not None:
            first.setdefault(each, i)
    return [i for each, i in first.items() if not any(_is_better(other, each) for other in first)]


def _is_better(one: Losses, other: Losses) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
