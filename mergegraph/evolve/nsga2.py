"""NSGA-II: generations of several objectives, bred from points that none is better than."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.evolve.genes import Gene, Point
from mergegraph.evolve.sampling import Losses

_POPULATION = 20
_TWO = 2


class Nsga2Sampler:
    """NSGA-II, by optuna."""

    def __init__(
        self,
        genes: Sequence[Gene],
        *,
        seed: int,
        objectives: int,
        population: int | None = None,
    ) -> None:
        import optuna

        self._genes = genes
        self._count = population or _POPULATION
        if self._count < _TWO:
            raise MergeGraphError(f"--population {self._count}: NSGA-II needs at least 2")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(
            directions=["minimize"] * objectives,
            sampler=optuna.samplers.NSGAIISampler(population_size=self._count, seed=seed % 2**32),
        )
        self._study.enqueue_trial({str(i): each.start for i, each in enumerate(genes)})
        self._asked: list[Any] = []

    def ask(self) -> list[Point]:
        """The points of the next generation."""
        known = {str(i): _distribution(each) for i, each in enumerate(self._genes)}
        self._asked = [self._study.ask(known) for _ in range(self._count)]
        return [tuple(each.params[str(i)] for i in range(len(self._genes))) for each in self._asked]

    def tell(self, losses: Sequence[Losses | None]) -> None:
        """Take note of a generation."""
        from optuna.trial import TrialState

        for trial, each in zip(self._asked, losses, strict=True):
            if each is None:
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, list(each))


def _distribution(gene: Gene) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if gene.levels is None:
        return FloatDistribution(*gene.bounds)
    if gene.is_ordered:
        return IntDistribution(0, gene.levels - 1)
    return CategoricalDistribution(range(gene.levels))
