"""The evaluator of the demo family: disjoint splits, and the numbers of its tables."""

import pytest
from mergegraph_evaluators.demo import demo

from mergegraph.demo.__main__ import FAMILY
from mergegraph.demo.exams import draw_exam
from mergegraph.demo.score import make_exam, score
from mergegraph.demo.skills import is_held_out
from mergegraph.testing import check_evaluator


def test_it_keeps_its_word():
    scores = check_evaluator(demo, model="demo:north", problems=20)
    assert scores["north"] > scores["average"]


def test_splits_are_different_held_out_problems():
    found = {split: draw_exam(split, 300) for split in ("validation", "test")}
    for skill in found["test"]:
        validation, test = (set(found[split][skill]) for split in ("validation", "test"))
        assert len(validation) == len(test) == 300
        assert not validation & test
        assert all(map(is_held_out, validation | test))


def test_the_exam_is_that_of_the_tables(examined):
    by_folder = score(FAMILY / "east", make_exam(40))
    assert examined("demo,problems=40:exam", "demo:east") == {
        **by_folder,
        "average": pytest.approx(sum(by_folder.values()) / 4),
    }


def test_another_architecture_is_one_sentence(tiny, refused):
    told = refused("demo", tiny)
    assert told.startswith(f"demo on {tiny}: the model: config.json: does not describe a Llama")


def test_another_split_is_refused_at_once(refused):
    assert "demo has no split 'valid'; did you mean 'validation'?" in refused("demo:valid", "nix")
