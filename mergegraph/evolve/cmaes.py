"""CMA-ES: a normal distribution over the space that moves to where points are better.

What has levels in order is a step of the cube that the distribution rounds to, with a margin that
keeps other levels in reach (CMA-ES with Margin, arXiv:2205.13482). A choice between things without
an order has a coordinate for each of them, and the highest is chosen: no order is made up for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.evolve.genes import Coordinate, Gene, Point
from mergegraph.evolve.sampling import Losses, default_population

SIGMA = 1 / 6
_TWO = 2
_CHOSEN = 0.1  # above the others, where a choice begins that the recipe makes


class CmaesSampler:
    """CMA-ES, which begins anew with twice the population where it has come to an end."""

    def __init__(self, genes: Sequence[Gene], *, seed: int, population: int | None = None) -> None:
        self._genes = genes
        self._seed = seed
        self._restarts = 0
        self._count = population or default_population(sum(map(_width, genes)))
        if self._count < _TWO:
            raise MergeGraphError(f"--population {self._count}: CMA-ES needs at least 2")
        self._optimizer = self._begun([x for gene in genes for x in _start(gene)])
        self._asked: list[Any] = []

    def ask(self) -> list[Point]:
        """The points of the next generation."""
        import numpy as np

        self._asked, points = [], []
        for _ in range(self._count):
            found = self._optimizer.ask()
            seen, told = found if isinstance(found, tuple) else (found, found)
            self._asked.append(np.array(told))
            points.append(self._point([float(x) for x in seen]))
        return points

    def tell(self, losses: Sequence[Losses | None]) -> None:
        """Take note of a generation; what has no score is as bad as the worst."""
        there = [each[0] for each in losses if each is not None]
        if not there:
            return  # nothing is known of where to go
        worst = max(there) + 1.0
        self._optimizer.tell(
            [
                (asked, worst if each is None else each[0])
                for asked, each in zip(self._asked, losses, strict=True)
            ]
        )
        if self._optimizer.should_stop():
            self._restarts += 1
            self._count *= 2
            self._optimizer = self._begun(self._anywhere())

    def _begun(self, mean: Sequence[float]) -> Any:
        """A distribution around a point."""
        import numpy as np
        from cmaes import CMA, CMAwM

        bounds = [each for gene in self._genes for each in _bounds(gene)]
        steps = [each for gene in self._genes for each in _steps(gene)]
        while len(bounds) < _TWO:  # it knows no space of one dimension
            mean, bounds, steps = [*mean, 0.5], [*bounds, (0.0, 1.0)], [*steps, 0.0]
        given: dict[str, Any] = {
            "mean": np.array(mean),
            "sigma": SIGMA,
            "bounds": np.array(bounds),
            "seed": (self._seed + self._restarts) % 2**32,
            "population_size": self._count,
        }
        return CMAwM(steps=np.array(steps), **given) if any(steps) else CMA(**given)

    def _anywhere(self) -> list[float]:
        """A point to begin at anew."""
        import numpy as np

        draws = np.random.Generator(np.random.Philox(key=[self._seed, self._restarts]))
        bounds = [each for gene in self._genes for each in _bounds(gene)]
        return [float(low + draws.random() * (high - low)) for low, high in bounds]

    def _point(self, found: Sequence[float]) -> Point:
        """The coordinates of a point of the distribution."""
        rest: Iterator[float] = iter(found)
        return tuple(
            _coordinate(gene, [next(rest) for _ in range(_width(gene))]) for gene in self._genes
        )


def _is_unordered(gene: Gene) -> bool:
    return gene.levels is not None and gene.levels > _TWO and not gene.is_ordered


def _width(gene: Gene) -> int:
    """How many dimensions a gene takes."""
    return gene.levels or 1 if _is_unordered(gene) else 1


def _bounds(gene: Gene) -> list[tuple[float, float]]:
    return [(0.0, 1.0) if gene.levels is not None else gene.bounds] * _width(gene)


def _steps(gene: Gene) -> list[float]:
    """The distance between levels, 0 where there are none."""
    if gene.levels is None or _is_unordered(gene):
        return [0.0] * _width(gene)
    return [1 / (gene.levels - 1)]


def _start(gene: Gene) -> list[float]:
    if _is_unordered(gene):
        begun = gene.start if gene.has_start else None
        return [0.5 + _CHOSEN * (i == begun) for i in range(_width(gene))]
    if gene.levels is None:
        return [float(gene.start)]
    return [gene.start / (gene.levels - 1) if gene.has_start else 0.5]


def _coordinate(gene: Gene, found: Sequence[float]) -> Coordinate:
    if _is_unordered(gene):
        return max(range(len(found)), key=lambda i: (found[i], -i))
    if gene.levels is None:
        return found[0]
    return min(max(round(found[0] * (gene.levels - 1)), 0), gene.levels - 1)
