"""What a search came to, as files: search.json for programs, recipes for further runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mergegraph.breed.members import Birth, merge_gain
from mergegraph.breed.scoring import Scored
from mergegraph.search.examining import Examination, Objective

RECORD = "search.json"
BEST = "best.yaml"
RECIPES = "recipes"
GENERATION = "generation-{}.yaml"
MODEL = "model"

_SCRATCH = ".scratch"


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there as a whole or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def clear(folder: Path, but: Collection[str] = ()) -> None:
    """Take away the files of a search that was begun anew, or went another way before."""
    known = (RECORD, BEST, GENERATION.format("*"), f"{RECIPES}/*.yaml")
    for path in (each for pattern in known for each in folder.glob(pattern)):
        if path.relative_to(folder).as_posix() not in but:
            path.unlink()


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder for what is not to stay, and what a kill has left in it is gone."""
    place = folder / _SCRATCH
    shutil.rmtree(place, ignore_errors=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write_record(folder: Path, told: Mapping[str, Any]) -> None:
    """Write the record of a search."""
    write_text(folder / RECORD, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def read_record(folder: Path) -> Mapping[str, Any]:
    """The record of a search."""
    return dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))


def told_objective(objective: Objective) -> dict[str, Any]:
    """What is looked for."""
    return {"name": objective.name, "lower_is_better": objective.is_lower_better}


def told_examinations(chooses: Examination, reports: Examination) -> dict[str, str]:
    """What chose and what reported."""
    return {"chosen_by": chooses.text, "reported_by": reports.text}


def told_member(
    birth: Birth,
    scored: Scored,
    *,
    gain: float | None,
    kinship: float | None,
    recipe: str | None,
) -> dict[str, Any]:
    """A member, or one that could not be made."""
    return {
        "name": birth.name,
        "generation": birth.generation,
        "parents": list(birth.parents),
        "explores": birth.explores,
        "recipe": recipe,
        "scores": None if scored.scores is None else dict(scored.scores),
        "problem": scored.problem,
        "gain": gain,
        "kinship": kinship,
        "seconds": round(scored.seconds, 3),
    }


def gain_of(birth: Birth, scored: Mapping[str, Scored], objective: Objective) -> float | None:
    """By how much a member is better than its parents on average; None where that has no answer."""
    told = [scored[name].scores for name in (birth.name, *birth.parents)]
    if not birth.parents or any(each is None for each in told):
        return None
    own, *parents = [objective.rank(each) for each in told if each is not None]
    return merge_gain(own, parents)


def matrix_of(
    names: Sequence[str], kinship: Mapping[tuple[str, str], float | None]
) -> list[list[float | None]]:
    """The kinship of every two of some names, 1 of one with itself left to who draws it."""
    return [[kinship.get((a, b), kinship.get((b, a))) for b in names] for a in names]
