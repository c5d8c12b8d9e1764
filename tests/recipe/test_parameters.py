"""Parameters: values, gradients and rules by tensor name, against the schema of the method."""

from __future__ import annotations

import pytest

from mergegraph.recipe.values import find

TIES = "merge_method: ties\nbase_model: b\nmodels: [{model: a, parameters: {weight: 1}}]\n"
LINEAR = "merge_method: linear\nmodels:\n- model: a\n"


def told(problems, value):
    """What is wrong with a density, at columns counted from its value."""
    return problems(TIES + f"parameters:\n  density: {value}\n")


@pytest.mark.parametrize(
    "value",
    ["0", "1", "0.5", "1e-3", "[0.1, 0.9]", "[1]", "{value: 0.5}", "{filter: mlp, value: [0, 1]}",
     "[{filter: mlp, value: 0.1}, {filter: '*', value: 0.2}]", "[{filter: mlp, value: 0.1}, 0.2]"],
)  # fmt: skip
def test_a_value_is_a_number_a_gradient_or_rules(problems, value):
    if value.endswith(", 0.2]"):
        assert told(problems, value) == ["5:13: density: expected a number"]
    else:
        assert told(problems, value) == []


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        ("1.4", "5:12: density 1.4 is not between 0 and 1"),
        ("-1", "5:12: density -1 is not between 0 and 1"),
        ("x", "5:12: density 'x' is not a number"),
        ("'one'", "5:12: density 'one' is not a number"),
        ("true", "5:12: density true is not a number"),
        ("~", "5:12: density null is not a number"),
        (".nan", "5:12: density nan is not a number"),
        (".inf", "5:12: density inf is not a number"),
        ("1e999", "5:12: density inf is not a number"),
        ("9" * 400, "5:12: density inf is not a number"),
        ("[]", "5:3: density is an empty list; give a number or anchors"),
        ("[0.5, 2]", "5:18: density 2 is not between 0 and 1"),
        ("[[0.5]]", "5:13: density: expected a number"),
        ("{}", "5:3: a rule of density needs a value"),
        ("{filter: mlp}", "5:3: a rule of density needs a value"),
        ("{filter: mlp, value: {x: 1}}", "5:33: density: expected a number"),
        ("{filter: 3, value: 1}", "5:13: filter must be a part of tensor names"),
        ("{filter: mlp, value: 2}", "5:33: density 2 is not between 0 and 1"),
        ("{fliter: mlp, value: 1}", "5:13: unknown key 'fliter'; did you mean 'filter'?"),
        ("[{value: 1}, {filter: mlp, value: 1}]",
         "5:25: never reached: a rule of density above matches everything"),
        ("[{filter: '', value: 1}, {value: 1}]",
         "5:37: never reached: a rule of density above matches everything"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_at_its_place(problems, value, fact):
    assert told(problems, value) == [fact]


def test_every_wrong_value_is_told(problems):
    assert told(problems, "[2, x, 0.5, -1]") == [
        "5:13: density 2 is not between 0 and 1",
        "5:16: density 'x' is not a number",
        "5:24: density -1 is not between 0 and 1",
    ]


def test_an_unknown_parameter_comes_with_the_nearest_one(problems):
    assert problems(TIES + "parameters: {densty: 0.5}\n") == [
        "4:14: ties has no parameter 'densty'; did you mean 'density'?"
    ]


def test_a_parameter_for_all_models_may_not_stand_with_one(problems):
    assert problems(LINEAR + "  parameters: {weight: 1, normalize: false}\n") == [
        "4:27: normalize is one for all models; set it under the top-level parameters"
    ]


def test_a_wrong_value_of_a_parameter_that_must_be_set_is_told_once(read):
    """Something stands in for it, so that nobody says it is not set."""
    (rule,) = (
        read(LINEAR + "  parameters: {weight: x}\n")
        .stages[0]
        .modules[0]
        .slices[0]
        .sources[0]
        .parameters["weight"]
    )
    assert isinstance(rule.anchors[0], float)


# -- precedence ----------------------------------------------------------------------------------

LEVELS = """\
merge_method: linear
modules:
  default:
    slices:
    - sources:
      - model: a
        layer_range: [0, 1]
        parameters: {weight: {filter: q, value: 1}}
      parameters: {weight: {filter: k, value: 2}}
    parameters: {weight: {filter: v, value: 3}}
parameters: {weight: [{filter: q, value: 9}, {filter: o, value: 4}, {value: 5}]}
"""


@pytest.mark.parametrize(("name", "value"), [("q", 1), ("k", 2), ("v", 3), ("o", 4), ("x", 5)])
def test_the_innermost_level_that_speaks_of_a_tensor_decides(read, name, value):
    recipe = read(LEVELS)
    (module,) = recipe.result.modules
    (part,) = module.slices
    levels = [part.sources[0].parameters, part.parameters, module.parameters]
    found = find([*levels, recipe.result.parameters], "weight", name, 0.0)
    assert not recipe.problems
    assert found.value == value


def test_a_tensor_nobody_speaks_of_has_no_value(read):
    recipe = read(TIES + "parameters: {density: {filter: mlp, value: 0.5}}\n")
    assert find([recipe.result.parameters], "density", "self_attn", 0.0) is None
    assert find([recipe.result.parameters], "lambda", "mlp", 0.0) is None


def test_a_rule_remembers_where_it_stands(read):
    recipe = read(TIES + "parameters: {density: {filter: mlp, value: 0.5}}\n")
    assert recipe.result.parameters["density"][0].place == "r.yml:4:37"
