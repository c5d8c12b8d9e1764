"""A small trained family of models, to see what a merge does to what models can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mergegraph.demo.exams import MOST, PROBLEMS, SPLITS, draw_exam
from mergegraph.demo.skills import Problem

__all__ = ["MOST", "PROBLEMS", "SPLITS", "Problem", "answered", "draw_exam"]


def answered(
    tensors: Mapping[str, Any],
    config: Mapping[str, Any],
    problems: Mapping[str, Sequence[Problem]],
    label: str,
) -> dict[str, float]:
    """Percent of the problems of each skill that a model answers right; messages call it `label`.

    Raises MergeGraphError if it is none of the family's kind.
    """
    from mergegraph.demo.llama import config_in
    from mergegraph.demo.score import make_batches, score_weights

    exam = {name: make_batches(each) for name, each in problems.items()}
    return score_weights(tensors, config_in(config, f"{label}: config.json"), exam, label)
