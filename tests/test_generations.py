"""The machinery of `evidence/generations/`: what is measured is told as it was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from evidence.generations.cold import ONCE, PRIVATE, SHARED, rounds
from evidence.generations.families import MEMBERS, train_member
from evidence.generations.figures import spread, verdict
from evidence.generations.measuring import Extent, read_measured, write_measured
from evidence.generations.page import page_text, tables
from evidence.generations.searches import (
    EXPLORE,
    PLAIN,
    SOUP,
    alone,
    searched,
    until_early_stop,
)
from evidence.generations.weights import CMAES, HAND, RANDOM
from mergegraph.demo.skills import SKILLS

PAGE = Path(__file__).parent.parent / "docs" / "generations.md"
EXTENT = Extent(seeds=2, problems=10, rounds=2)


def generation(number, examined, reported, kinship=None, stopped=None):
    return {
        "number": number,
        "examined": examined,
        "chosen": reported + 1,
        "reported": reported,
        "kinship": kinship,
        "stopped": stopped,
    }


def run(best):
    told = [
        generation(0, 6, 50.0),
        generation(1, 21, 60.0, 0.5),
        generation(2, 24, best - 0.5, 0.95),
        generation(3, 27, best, 0.97, "the same top"),
    ]
    pairs = [[1, 0.1, 5.0, False], [2, 0.85, -1.0, False]]
    return {
        "generations": told,
        "correlation": -0.5,
        "correlation of the first": None,
        "explored": 3,
        "explored and in the top": 1,
        "pairs": pairs,
    }


def found():
    scores = {"chosen": 50.0, "reported": 49.0}
    told = {}
    for seed in range(EXTENT.seeds):
        told[f"{seed} alone"] = {**dict.fromkeys(MEMBERS, scores), "average of all": scores}
        told[f"{seed} {PLAIN}"] = run(70.0 + seed)
        told[f"{seed} {EXPLORE}"] = run(74.0 - 2 * seed)
        told[f"{seed} {SOUP}"] = {**scores, "examined": 11, "ingredients": ["north"]}
        skills = dict.fromkeys((*SKILLS, "average"), 50.0 + seed)
        told |= {f"{seed} cold {kind}": [skills] * 3 for kind in (PRIVATE, SHARED)}
        told[f"{seed} cold {ONCE}"] = [skills] * 2
        for name in (HAND, RANDOM, CMAES):
            told |= {
                f"{seed} {name} {tries}": scores for tries in (10, 40) if seed < 1 or name != HAND
            }
    return told


def test_page_tells_all_tables_and_verdicts():
    text = page_text(found(), EXTENT)
    assert all(table.markdown() in text for table in tables(found(), EXTENT).values())
    assert "exploring against plain: +2.5 points on average, better for 2 of 2 seeds." in text
    assert "plain: 6 of 54 models would not have been made and examined (11 %)" in text
    assert "2 of 6 models that exploration made came into a top." in text
    assert "$" not in text


def test_page_that_is_there_is_of_this_machinery():
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"\n| {name} | " in text for name in (*MEMBERS, "greedy soup", ONCE))


def test_early_stop_is_read_off_a_run_that_went_on():
    assert until_early_stop(run(70.0)["generations"])["number"] == 2


def test_what_seeds_do_not_agree_on_is_not_called_a_difference():
    assert verdict([5, 1], [1, 3], "a").endswith("which is not enough to tell")
    assert verdict([5.3, 4.2], [5, 4], "a").endswith("which is not enough to tell")
    assert verdict([5, 1], [5, 1], "a") == "a: the same model for each of 2 seeds"
    assert verdict([9, 8], [5, 4], "a") == "a: +4.0 points on average, better for 2 of 2 seeds"


def test_spread_is_that_of_seeds():
    assert spread([1.0, 3.0]) == "2.0 ± 1.0"
    assert spread([1.0]) == "1.0"


def test_measurements_of_another_extent_are_not_taken(tmp_path):
    path = tmp_path / "measured.json"
    write_measured(path, EXTENT, {"0 alone": 1})
    assert read_measured(path, EXTENT) == {"0 alone": 1}
    assert read_measured(path, Extent(seeds=5, problems=10, rounds=2)) == {"0 alone": 1}
    assert read_measured(path, Extent(problems=11)) == {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A family that has hardly been trained."""
    made = tmp_path_factory.mktemp("generations")
    for name in MEMBERS:
        train_member(made, 0, name, pace=60)
    return made


def test_searches_run(folder):
    told = searched(folder, 0, SOUP, 3)
    assert told["examined"] == 2 * len(MEMBERS) - 1
    assert set(told["ingredients"]) <= set(MEMBERS)
    assert alone(folder, 0, 3).keys() == {*MEMBERS, "average of all"}


def test_rounds_run(folder):
    found = rounds(folder, 0, PRIVATE, 3, count=1, steps=1)
    assert len(found) == 2
    assert found[0].keys() == {*SKILLS, "average"}
