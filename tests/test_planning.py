"""Planning: its cost grows with the number of tensors, and no faster; what is told of it."""

from __future__ import annotations

import json
import sys

import pytest

from mergegraph import explaining, pipeline
from mergegraph.stages import stage

TIES = """
merge_method: ties
base_model: {root}/base
models: [{{model: {root}/a}}, {{model: {root}/b}}]
parameters: {{weight: 1, density: 0.5}}
"""


# two stages, gradients, filters, a parameter of one model, and rounding in between
STAGES = """
name: x
merge_method: linear
out_dtype: bfloat16
models:
  - {{model: {root}/a, parameters: {{weight: [{{filter: v, value: [1, 3]}}, {{value: 1}}]}}}}
  - {{model: {root}/b, parameters: {{weight: 0.5}}}}
---
merge_method: slerp
models: [{{model: x}}, {{model: {root}/b}}]
parameters: {{t: [{{filter: n, value: 0.5}}, {{value: [0.1, 0.9]}}]}}
"""


@pytest.fixture
def recipe_of(checkpoint, tmp_path):
    """Write a recipe that merges models with a number of layers."""

    def write(layers, text=TIES):
        root = tmp_path / str(layers)
        shapes = {"v": [[1.0, 2]], "w": [[3.0, 4]], "n": [1.0]}
        tensors = {f"layers.{i}.{name}": shapes[name] for i in range(layers) for name in shapes}
        for model in ("base", "a", "b"):
            checkpoint(f"{layers}/{model}", tensors)
        recipe = root / "recipe.yaml"
        recipe.write_text(text.format(root=root))
        return recipe

    return write


@pytest.fixture
def planned(recipe_of, tmp_path):
    """Plan a merge of models with a number of layers: the plan, and the calls that it took."""

    def plan(layers):
        recipe = recipe_of(layers)
        return counted(lambda: pipeline.plan(recipe, out=tmp_path / "out", memory="64MiB"))

    return plan


def counted(call):
    """What a call gives, and how many functions it calls on the way."""
    calls = 0

    def count(_frame, event, _function):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        made = call()
    finally:
        sys.setprofile(None)
    return made, calls


def test_a_plan_takes_time_in_proportion_to_its_tensors(planned):
    planned(2)  # what is imported, and compiled, once
    few, more, most = (planned(layers)[1] for layers in (20, 40, 80))
    assert most - more <= 2.1 * (more - few)


def test_telling_of_a_plan_takes_time_in_proportion_to_its_tensors(planned):
    few, more, most = (
        counted(lambda made=made: explaining.plan_text(made.plan, made.schedule, made.notes))[1]
        for made, _ in map(planned, (20, 40, 80))
    )
    assert most - more <= 2.1 * (more - few)


def test_layers_of_equal_structure_share_their_design(planned):
    made, _ = planned(20)
    assert len(made.schedule.units) == 60
    assert len(made.schedule.line.designs) == 2


@pytest.mark.parametrize("text", [TIES, STAGES], ids=["ties", "stages"])
def test_methods_need_not_be_called_for_tensors_of_the_same_kind(
    recipe_of, tmp_path, monkeypatch, text
):
    recipe = recipe_of(5, text)
    made = pipeline.plan(recipe, out=tmp_path / "out")
    monkeypatch.setattr(stage, "pattern_of", lambda _result, _inputs: None)
    called = pipeline.plan(recipe, out=tmp_path / "out")
    assert [each.task for each in made.plan.outputs] == [each.task for each in called.plan.outputs]


def test_a_plan_says_what_half_and_twice_the_budget_come_to(recipe_of, tmp_path):
    made = pipeline.plan(recipe_of(2), out=tmp_path / "out", memory="64MiB", threads=1)
    text = explaining.plan_text(made.plan, made.schedule, made.notes)
    assert "at half the budget, 32.0 MiB: 120 B read in 14 passes, peak" in text
    assert "at twice the budget, 128.0 MiB: 120 B read in 14 passes, peak" in text


def test_a_plan_says_what_is_needed_where_half_the_budget_is_too_little(recipe_of, tmp_path):
    recipe = recipe_of(2)
    roomy = pipeline.plan(recipe, out=tmp_path / "out", memory="64MiB", threads=1)
    peak = roomy.schedule.peak_nbytes
    made = pipeline.plan(recipe, out=tmp_path / "out", memory=peak, threads=1)
    figures = json.loads(explaining.plan_json(made.plan, made.schedule, ()))["at_half_the_budget"]
    assert (figures["budget_nbytes"], figures["fits"]) == (peak // 2, False)
    assert peak // 2 < figures["needed_nbytes"] <= peak
    assert "does not fit" in explaining.plan_text(made.plan, made.schedule, made.notes)
