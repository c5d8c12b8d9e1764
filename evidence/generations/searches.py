"""Searches on one family, and what is examined of what they came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evidence.generations.families import BASE, family
from mergegraph.breed.command import Questions, carry_out, prepare
from mergegraph.breed.recipes import averaged_text
from mergegraph.breed.telling import kinship_and_gain
from mergegraph.breed.wishes import Wishes
from mergegraph.plugins import Plugins, installed_plugins
from mergegraph.search.compiling import Asked
from mergegraph.search.examining import read_examination
from mergegraph.search.laboratory import Laboratory
from mergegraph.search.record import Bred, Member, read_record
from mergegraph.settings import Settings

PLAIN, EXPLORE, SOUP = "plain", "explore", "soup"
EARLY = 0.9
LAST = 6  # generations at the most
_NEVER = 1.0  # a mean kinship that nothing passes
_SETTINGS = Settings(memory="1GiB", threads=1)
SCORE = "average"


def words(problems: int, split: str) -> str:
    """The examination on one half of the held-out problems."""
    return f"demo,problems={problems}:{split}"


def searched(folder: Path, seed: int, kind: str, problems: int) -> dict[str, Any]:
    """What a search on the family of a seed comes to: scores on both halves by generation."""
    wishes = Wishes(family(folder, seed), base=BASE, parameters={"t": 0.5})
    chosen = {
        PLAIN: replace(wishes, explores=False, early_stop=_NEVER, max_generations=LAST),
        EXPLORE: replace(wishes, explores=True, early_stop=_NEVER, max_generations=LAST),
        SOUP: replace(wishes, strategy=SOUP),
    }[kind]
    out = folder / f"search-{seed}-{kind}"
    plugins = installed_plugins()
    asked = Questions(words(problems, "validation"))
    search = prepare(chosen, asked, plugins, _SETTINGS, out=out, restart=True)
    carry_out(search, restart=True, parallel=1, say=lambda _line: None)
    record = read_record(out)
    assert isinstance(record, Bred), "it has just been written"
    told = _soup if kind == SOUP else _generations
    return told(record, out, plugins, words(problems, "test"))


def alone(folder: Path, seed: int, problems: int) -> dict[str, Any]:
    """The models of a family, and the average of them all, on both halves."""
    models = family(folder, seed)
    texts = [averaged_text([each], None) for each in models] + [averaged_text(models, None)]
    names = [*(Path(each).name for each in models), "average of all"]
    plugins = installed_plugins()
    chosen = scores_of(texts, folder, plugins, words(problems, "validation"))
    reported = scores_of(texts, folder, plugins, words(problems, "test"))
    return {
        name: {"chosen": a, "reported": b}
        for name, a, b in zip(names, chosen, reported, strict=True)
    }


def _generations(record: Bred, out: Path, plugins: Plugins, reports: str) -> dict[str, Any]:
    """Every generation after the models: its best so far, and what it had cost until then."""
    members = {each.name: each for each in record.members}
    tops = [each.top[0] for each in record.generations]
    texts = {name: _recipe(members[name], out) for name in dict.fromkeys(tops)}
    found = dict(zip(texts, scores_of([*texts.values()], out, plugins, reports), strict=True))
    made = 0
    told = []
    for each, top in zip(record.generations, tops, strict=True):
        made += len(each.new)
        told.append(
            {
                "number": each.number,
                "examined": made,
                "chosen": members[top].known[SCORE],
                "reported": found[top],
                "kinship": each.kinship,
                "stopped": each.stopped,
            }
        )
    first = [each for each in record.members if each.generation < 2]
    at_the_top = {name for each in record.generations for name in each.top}
    explored = [name for name, each in members.items() if each.explores]
    pairs = [(e.generation, e.kinship, e.gain, e.explores) for e in members.values()]
    return {
        "generations": told,
        "correlation": kinship_and_gain(record.members),
        "correlation of the first": kinship_and_gain(first),
        "explored": len(explored),
        "explored and in the top": len(at_the_top & {*explored}),
        "pairs": [pair for pair in pairs if pair[1] is not None and pair[2] is not None],
    }


def _soup(record: Bred, out: Path, plugins: Plugins, reports: str) -> dict[str, Any]:
    members = {each.name: each for each in record.members}
    text = (out / "best.yaml").read_text(encoding="utf-8")
    return {
        "examined": len(members),
        "ingredients": [Path(each).name for each in record.ingredients],
        "chosen": members[str(record.best)].known[SCORE],
        "reported": scores_of([text], out, plugins, reports)[0],
    }


def _recipe(member: Member, out: Path) -> str:
    if member.recipe is None:
        return averaged_text([member.name], None)
    return (out / str(member.recipe)).read_text(encoding="utf-8")


def scores_of(texts: Sequence[str], scratch: Path, plugins: Plugins, asked: str) -> list[float]:
    """The averages of recipes' results over skills."""
    examination = read_examination(asked, plugins)
    with Laboratory(plugins, _SETTINGS, scratch=scratch) as laboratory:
        recipes = [Asked(f"recipe-{number}", text) for number, text in enumerate(texts)]
        found = laboratory.scores(recipes, examination)
    assert all(each.scores for each in found), [each.problem for each in found]
    return [each.scores[SCORE] for each in found if each.scores]


def until_early_stop(generations: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The generation with which the early stop would have ended a run."""
    ends = (
        each
        for each in generations
        if each["stopped"] or (each["kinship"] is not None and each["kinship"] > EARLY)
    )
    return next(ends)
