"""Settings: a recipe's values changed from the command line."""

from __future__ import annotations

import pytest

from mergegraph.errors import MergeGraphError

TEXT = (
    "name: first\nmerge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]\n---\n"
    "merge_method: ties\nbase_model: b\nmodels: [{model: first, parameters: {weight: 1}}]\n"
)


def test_a_setting_changes_the_result(read):
    found = read(TEXT, "parameters.density=0.3", "dtype=float16", "models.0.parameters.weight=1e-3")
    stage = found.result
    assert not found.problems
    assert stage.parameters["density"][0].anchors == (0.3,)
    assert stage.dtype == "float16"
    assert stage.modules[0].slices[0].sources[0].parameters["weight"][0].anchors == (0.001,)


def test_a_setting_may_name_a_stage(read):
    found = read(TEXT, "first:seed=7", "first:models.0.model=c=d")
    assert (found.stages[0].seed, found.stages[1].seed) == (7, None)
    assert found.stages[0].donor == "c=d"


def test_a_setting_goes_to_the_last_stage_where_all_are_named(read):
    found = read(TEXT + "name: second\n", "seed=7")
    assert [stage.seed for stage in found.stages] == [None, 7]


@pytest.mark.parametrize(
    ("value", "fact"), [("1.2", "is not at most 1"), ("0", "is not above 0"), (".nan", "is not")]
)
def test_bounds_of_numbers_are_told(value, fact, read):
    (problem,) = read(TEXT, f"adapter.energy={value}").problems
    assert fact in str(problem)


def test_a_setting_without_value_empties_the_place(read):
    assert read(TEXT + "dtype: float16\n", "dtype=").result.dtype is None


def test_a_setting_fills_an_empty_place(read):
    found = read(TEXT + "parameters:\n", "parameters.density=0.3")
    assert found.result.parameters["density"][0].anchors == (0.3,)


def test_a_setting_may_be_a_list_or_a_mapping(read):
    found = read(TEXT, "parameters={density: [0, 1]}", "parameters.lambda=[{value: 2}]")
    assert found.result.parameters["density"][0].is_gradient
    assert found.result.parameters["lambda"][0].anchors == (2,)


@pytest.mark.parametrize(
    ("setting", "fact"),
    [
        ("parameters.densty=1", "ties has no parameter 'densty'; did you mean 'density'?"),
        ("paramters.density=1", "unknown key 'paramters'; did you mean 'parameters'?"),
        ("parameters.density=2", "density 2 is not between 0 and 1"),
        ("parameters={density: 2}", "density 2 is not between 0 and 1"),
        ("dtype=bf16", "dtype 'bf16' is not one of float32, float16, bfloat16 or float64; "
         "did you mean 'bfloat16'?"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told_by_itself_not_by_a_line(problems, setting, fact):
    assert problems(TEXT, setting) == [f"--set {setting}: {fact}"]


@pytest.mark.parametrize(
    ("setting", "fact"),
    [
        ("seed", "write KEY=VALUE, or STAGE:KEY=VALUE for a named stage"),
        ("=1", "write KEY=VALUE, or STAGE:KEY=VALUE for a named stage"),
        ("a..b=1", "write KEY=VALUE, or STAGE:KEY=VALUE for a named stage"),
        ("third:seed=1", "no stage is named 'third'"),
        ("models.7.model=a", "the recipe has no such place"),
        ("models.x=1", "the recipe has no such place"),
        ("merge_method.x=1", "the recipe has no such place"),
        ("merge_method.x.y=1", "the recipe has no such place"),
        ("seed={a: 1, a: 2}", "'{a: 1, a: 2}' is not one value"),
    ],
)
def test_a_setting_that_goes_nowhere_is_refused(read, setting, fact):
    with pytest.raises(MergeGraphError) as caught:
        read(TEXT, setting)
    assert str(caught.value) == f"--set {setting}: {fact}"


def test_a_setting_that_is_not_yaml_is_refused(read):
    with pytest.raises(MergeGraphError, match=r"--set seed=.*: not YAML: "):
        read(TEXT, "seed=[")
