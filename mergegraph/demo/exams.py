"""The exams of the family: held-out problems, to choose models by and to report them with."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from mergegraph.demo.skills import Language, Problem, draw, make_skills, part_of

PROBLEMS = 500
MOST = 2000  # of each skill in each half, where there are some 2500
VALIDATION, TEST, EXAM = "validation", "test", "exam"
SPLITS = (VALIDATION, TEST, EXAM)


def draw_exam(split: str, problems: int = PROBLEMS) -> Mapping[str, list[Problem]]:
    """So many held-out problems of each skill, always the same.

    Those of validation and test are all different, and none is in both. Those of the exam, which
    the tables of this family are made with, are drawn from both halves, and may come twice.
    """
    drawn = _any if split == EXAM else _of_half
    return {name: drawn(skill, name, split, problems) for name, skill in make_skills().items()}


def _any(skill: Language, name: str, split: str, count: int) -> list[Problem]:
    random = Random(f"{split} {name}")
    return [draw(skill, random, held_out=True, is_modern=True) for _ in range(count)]


def _of_half(skill: Language, name: str, split: str, count: int) -> list[Problem]:
    random = Random(f"{split} {name}")
    found: dict[Problem, None] = {}
    while len(found) < count:
        problem = draw(skill, random, held_out=True, is_modern=True)
        if part_of(problem) == SPLITS.index(split):
            found[problem] = None
    return list(found)
