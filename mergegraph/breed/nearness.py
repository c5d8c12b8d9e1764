"""Kinship of members, whether they have been made or not: their stages' tensors, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from mergegraph.breed.members import Pair
from mergegraph.kinship import Request, measure, survey
from mergegraph.plugins import Plugins
from mergegraph.settings import Settings


def measure_of(
    stages: Callable[[Sequence[str]], str],
    base: str,
    metric: str,
    plugins: Plugins,
    settings: Settings,
) -> Callable[[Sequence[str]], Mapping[Pair, float | None]]:
    """What measures members as changes of a base; `stages` is the recipe of those that are bred."""

    def measured(names: Sequence[str]) -> Mapping[Pair, float | None]:
        request = Request(base, tuple(names), stages(names) or None)
        found = measure(survey(request, settings, plugins=plugins))
        numbers = {name: number for number, name in enumerate(names)}
        return {
            (a, b): found.pair(numbers[a], numbers[b], metric) for a, b in combinations(names, 2)
        }

    return measured
