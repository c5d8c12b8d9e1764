"""Stages of a recipe: which stand on which, and which is the result."""

from __future__ import annotations

import pytest


def recipe(*stages):
    """A text of stages `(name, model)`."""
    document = "merge_method: linear\nmodels: [{{model: {}, parameters: {{weight: 1}}}}]\n"
    return "---\n".join(
        document.format(model) + (f"name: {name}\n" if name else "") for name, model in stages
    )


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ([("x", "y"), ("y", "x"), (None, "x")], "1:1: stages go in a circle: x → y → x"),
        ([("x", "x"), (None, "x")],
         "1:1: stage 'x' stands on itself; a directory of that name is ./x"),
        ([("x", "y"), ("y", "z"), ("z", "y"), (None, "x")],
         "5:1: stages go in a circle: y → z → y"),
        ([("x", "a"), ("x", "b"), (None, "x")], "5:1: two stages are named 'x'"),
        ([(None, "a"), (None, "b")], "4:1: only one document may be without a name"),
        ([("x", "a"), (None, "b")],
         "1:1: nobody uses stage 'x'; use it, give it 'out', or drop it"),
        ([("x", "y"), ("y", "a")],
         "1:1: nobody uses stage 'x'; use it, give it 'out', or drop it"),
    ],
)  # fmt: skip
def test_stages_that_come_to_nothing_are_told(problems, stages, told):
    assert problems(recipe(*stages)) == [told]


def test_every_circle_is_told_once(problems):
    stages = [("x", "y"), ("y", "x"), ("w", "w"), ("v", "w"), (None, "v")]
    assert problems(recipe(*stages)) == [
        "1:1: stages go in a circle: x → y → x",
        "9:1: stage 'w' stands on itself; a directory of that name is ./w",
    ]


def test_a_stage_may_be_named_before_or_after_those_that_use_it(problems):
    assert problems(recipe((None, "x"), ("x", "y"), ("y", "a"))) == []


def test_the_unnamed_stage_is_the_result_wherever_it_stands(read):
    assert read(recipe((None, "x"), ("x", "a"))).result.name is None


def test_the_last_stage_is_the_result_where_all_are_named(read):
    found = read(recipe(("x", "a"), ("y", "x")))
    assert found.result.name == "y"
    assert not found.problems


def test_a_stage_that_is_written_need_not_be_used(problems):
    assert problems(recipe(("x", "a")) + "out: d\n---\n" + recipe((None, "b"))) == []


def test_a_base_and_a_base_of_a_slice_are_uses(problems):
    last = (
        "merge_method: passthrough\nbase_model: x\nslices:\n"
        "- {sources: [{model: a, layer_range: [0, 1]}], base_model: y}\n"
    )
    assert problems(recipe(("x", "a"), ("y", "a")) + "---\n" + last) == []


def test_a_chain_of_a_thousand_stages_is_followed(problems):
    chain = [(f"s{i}", f"s{i + 1}") for i in range(1200)]
    assert problems(recipe((None, "s0"), *chain, ("s1200", "s0")))[0].startswith(
        "4:1: stages go in a circle: s0 → s1 → "
    )
