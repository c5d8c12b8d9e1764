"""Rounds of ColD Fusion on the demo family: train, average, train again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from typing import Any

from evidence.generations.families import BASE
from evidence.generations.searches import words
from mergegraph import run
from mergegraph.breed.sharing import carry_out_round, prepare_round
from mergegraph.demo.skills import SKILLS
from mergegraph.demo.train import FAMILY as SHIPPED
from mergegraph.demo.train import course_of, further
from mergegraph.plugins import installed_plugins
from mergegraph.search.examining import read_examination
from mergegraph.search.laboratory import Laboratory
from mergegraph.settings import Settings

PRIVATE, SHARED, ONCE = "heads private", "heads shared", "once"
_SETTINGS = Settings(memory="1GiB", threads=1)


def rounds(
    folder: Path, seed: int, kind: str, problems: int, *, count: int, steps: int
) -> list[Mapping[str, Any]]:
    """Scores of what is shared, before the first round and after each.

    With `once` all steps are in a single round.
    """
    count, steps = (1, count * steps) if kind == ONCE else (count, steps)
    word = f"{seed}-{kind.replace(' ', '-')}"
    out = folder / f"cold-{word}"
    rmtree(out, ignore_errors=True)  # what was contributed before is the same again
    shared, found = BASE, [_scores(BASE, folder, problems)]
    for number in range(1, count + 1):
        contributions = []
        start = SHIPPED / "base" if shared == BASE else Path(shared)
        for skill in SKILLS:
            place = folder / f"contributions-{word}" / f"{number}-{skill}"
            if not (place / "tokenizer.json").exists():
                further(start, course_of((skill,), f"{seed} {number}", steps=steps), place)
            contributions.append(str(place))
        given = BASE if number == 1 else None
        is_shared = kind != PRIVATE
        plugins = installed_plugins()
        told = prepare_round(given, contributions, plugins, out, shares_heads=is_shared)
        carry_out_round(told, _make)
        shared = str(told.result)
        found.append(_scores(shared, folder, problems))
    return found


def _make(recipe: Path, out: Path) -> None:
    run(recipe, out=out, memory="1GiB", threads=1, device="cpu")


def _scores(reference: str, scratch: Path, problems: int) -> Mapping[str, float]:
    plugins = installed_plugins()
    examination = read_examination(words(problems, "test"), plugins)
    with Laboratory(plugins, _SETTINGS, scratch=scratch) as laboratory:
        found = laboratory.score(reference, examination)
    assert found.scores is not None, found.problem
    return {name: found.scores[name] for name in (*SKILLS, "average")}
