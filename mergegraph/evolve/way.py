"""The way of a search: how its points are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mergegraph.errors import MergeGraphError, nearest
from mergegraph.evolve.options import Options
from mergegraph.evolve.sampling import (
    SAMPLERS,
    GridSampler,
    RandomSampler,
    Sampler,
    grid_size,
)
from mergegraph.evolve.space import Space
from mergegraph.search.examining import Objective

TRIALS = 100
POINTS = 5
_PACKAGES: Mapping[str, tuple[str, ...]] = {"cmaes": ("cmaes",), "nsga2": ("optuna",)}


@dataclass(frozen=True)
class Way:
    """How points are chosen."""

    sampler: str
    seed: int
    trials: int
    population: int | None = None
    points: int = POINTS

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that its points depend on, besides those of all results."""
        return _PACKAGES.get(self.sampler, ())

    def begun(self, space: Space, objectives: int) -> Sampler:
        """The sampler at its start; raises MergeGraphError if a package is missing."""
        genes, given = space.genes, {"seed": self.seed, "population": self.population}
        if self.sampler == "random":
            return RandomSampler(genes, seed=self.seed, population=self.population)
        if self.sampler == "grid":
            return GridSampler(genes, points=self.points, population=self.population)
        try:
            if self.sampler == "nsga2":
                from mergegraph.evolve.nsga2 import Nsga2Sampler

                return Nsga2Sampler(genes, objectives=objectives, **given)  # type: ignore[arg-type]
            from mergegraph.evolve.cmaes import CmaesSampler

            return CmaesSampler(genes, **given)  # type: ignore[arg-type]
        except ImportError as error:
            fact = f"--sampler {self.sampler} needs {error.name}: pip install 'mergegraph[evolve]'"
            remedy = "random and grid work without"
            raise MergeGraphError(f"{fact}; {remedy}") from error


def way_of(space: Space, objectives: Sequence[Objective], options: Options) -> Way:
    """How points are chosen, as options say; raises MergeGraphError if they do not go together."""
    trials, points, population = options.trials, options.points, options.population
    name = options.sampler or ("cmaes" if len(objectives) == 1 else "nsga2")
    if name not in SAMPLERS:
        raise MergeGraphError(f"--sampler {name}: there is none{nearest(name, SAMPLERS)}")
    if name == "cmaes" and len(objectives) > 1:
        fact = f"--sampler cmaes looks for one score, not for {len(objectives)}"
        raise MergeGraphError(f"{fact}; take nsga2, random or grid")
    if points is not None and name != "grid":
        raise MergeGraphError(f"--points: only a grid has them, {name} has none")
    if name != "grid":
        return Way(name, options.seed, trials or TRIALS, population)
    size = grid_size(space.genes, points or POINTS)
    if trials is not None and trials < size:
        fact = f"--trials {trials}: the grid has {size} points"
        raise MergeGraphError(f"{fact}; allow as many, or take fewer --points")
    return Way(name, options.seed, size, population, points or POINTS)
