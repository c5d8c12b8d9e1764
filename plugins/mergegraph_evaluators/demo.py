"""The skills of the demo family: how many held-out problems a model answers right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from statistics import fmean
from typing import Annotated

from mergegraph import Between, Candidate, Evaluator, MergeGraphError, evaluator, hookimpl, nearest
from mergegraph.demo import MOST, PROBLEMS, SPLITS, Problem, answered, draw_exam
from mergegraph_evaluators.parts.threads import threads_of


def _check(data: str) -> None:
    if data not in SPLITS:
        raise MergeGraphError(f"demo has no split '{data}'{nearest(data, SPLITS)}")


@lru_cache(maxsize=len(SPLITS))
def _drawn(split: str, problems: int) -> Mapping[str, list[Problem]]:
    """What takes as long to draw as a tenth of an examination."""
    return draw_exam(split, problems)


def _pieces(data: str, *, problems: int) -> Iterable[str]:
    _check(data)
    return [each.question for drawn in _drawn(data, problems).values() for each in drawn]


@evaluator(splits=SPLITS[:2], pieces=_pieces, check=_check, main="average")
def demo(
    model: Candidate, data: str, *, problems: Annotated[int, Between(1, MOST)] = PROBLEMS
) -> Mapping[str, float]:
    """Percent of held-out problems of each skill of the demo family that are answered right.

    DATA is `validation`, `test`, which has other problems, or `exam`, which the tables of the
    family are made with, and which has problems of both. There are four skills, and their average.

    The model is a Llama over the alphabet of the family; it is run in memory, on one core.

    problems: how many of each skill.
    """
    with threads_of(1):
        found = answered(model.tensors, model.config, _drawn(data, problems), "the model")
    return {**found, "average": fmean(found.values())}


@hookimpl
def evaluators() -> Iterable[Evaluator]:
    """Offer it."""
    return [demo]
