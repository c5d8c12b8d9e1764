"""Examples of methods: as much as is usual of what they take, planned, and as a recipe."""

from math import inf
from pathlib import Path
from typing import Annotated, Literal

import pytest

from mergegraph import Between, MergeGraphError, PerModel, method, pipeline
from mergegraph.guide.example import example_of, written
from mergegraph.ops import average, delta, gram, scale_by
from mergegraph.ops.folds import count_different
from mergegraph.plans import Output, plan_of
from mergegraph.plugins import installed_plugins
from mergegraph.scheduling.schedule import make_schedule


def first(models, base=None):
    return models[0]


# -- what it is given ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "count"),
    [
        (Between(0), 4),
        (Between(2), 4),
        (Between(5), 5),
        (Between(9), 9),
        (Between(1, 1), 1),
        (Between(0, 2), 2),
        (Between(1, inf), 4),
        (Between(0, 0), 1),
    ],
    ids=str,
)
def test_there_are_four_models_if_the_method_takes_four(counts, count):
    assert example_of(method(counts=counts)(first)).count == count


def test_there_is_a_base_if_the_method_may_have_one():
    def needing(base, models):
        return base

    def taking_none(models):
        return models[0]

    found = [example_of(method(each)).has_base for each in (needing, first, taking_none)]
    assert found == [True, True, False]


def test_what_is_refused_is_not_an_example():
    @method
    def pair(models, base=None):
        if len(models) + (base is not None) != 2:
            raise MergeGraphError("two, please")
        return average(*models, weights=[1.0] * len(models))

    found = example_of(pair)
    assert (found.count, found.has_base) == (2, False)


def test_values_are_those_recommended_and_those_that_must_be_given():
    @method(recommended={"density": 0.2})
    def sparse(
        models,
        *,
        weight: PerModel[float],
        density: float = 1.0,
        t: Annotated[float, Between(0, 0.7)],
        by: Literal["row", "column"],
        other: float = 3.0,
    ):
        return average(*models, weights=weight)

    assert example_of(sparse).values == {"weight": 1, "density": 0.2, "t": 0.5, "by": "row"}


def test_random_methods_are_handed_seeds():
    @method
    def drawing(models, *, seeds: PerModel[int]):
        assert len(set(seeds)) == len(models)
        return models[0]

    assert example_of(drawing).merged


# -- what it makes of it ---------------------------------------------------------------------


def test_work_on_entries_alone_is_one_pass():
    assert example_of(method(first)).passes == 1


def test_what_stands_on_a_sum_is_two_passes():
    @method
    def mixed(base, models):
        return scale_by(models[0], count_different(base, *models))

    assert example_of(mixed).passes == 2


def test_a_survey_is_a_pass_over_all_tensors_before_their_own():
    def survey(requests):
        return [[gram(*each.models)] for each in requests]

    @method(survey=survey)
    def surveying(models, *, survey):
        return scale_by(models[0], survey[0])

    found = example_of(surveying)
    assert len(found.merged) == 2
    assert found.passes == 2
    assert found.is_surveyed


def test_a_survey_that_has_nothing_to_do_is_no_pass():
    @method(survey=lambda requests: [])
    def idle(models, *, survey):
        return models[0]

    found = example_of(idle)
    assert (found.passes, found.is_surveyed) == (1, False)


def test_of_a_method_that_fails_there_is_a_recipe_all_the_same():
    @method
    def broken(base, models):
        return models[99]

    found = example_of(broken)
    assert found.passes is None
    assert found.recipe.startswith("merge_method: broken\nbase_model: demo:base\nmodels:\n")


# -- as a recipe -----------------------------------------------------------------------------


def test_a_recipe_states_models_and_values():
    @method(recommended={"lambda": 1.0, "rescale": True})
    def added(base, models, *, lambda_: float = 0.5, rescale: bool = False, other: int = 3):
        return delta(models[0], base)

    told = example_of(method(counts=Between(2, 2))(first)).recipe
    assert told == (
        "merge_method: first\nbase_model: demo:base\n"
        "models:\n  - model: demo:north\n  - model: demo:east\n"
    )
    told = example_of(added).recipe
    assert told.endswith("parameters:\n  lambda: 1\n  rescale: true\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.1, "0.1"), (1e-5, "1e-05"), (0.1234567, "0.1234567"), (2, "2"), (None, "null"),
     (True, "true"), ("sum", '"sum"'), ("no", '"no"')],
)  # fmt: skip
def test_values_are_written_as_yaml(value, text):
    assert written(value) == text


METHODS = installed_plugins().methods


@pytest.mark.parametrize("name", METHODS)
def test_the_recipe_of_every_installed_method_can_be_planned(name, tmp_path):
    (tmp_path / "recipe.yaml").write_text(example_of(METHODS[name]).recipe)
    assert pipeline.plan(tmp_path / "recipe.yaml", out=tmp_path / "out").plan.outputs


@pytest.mark.parametrize("name", METHODS)
def test_passes_are_those_of_the_schedule(name):
    found = example_of(METHODS[name])
    outputs = [Output(Path("out"), str(i), task) for i, task in enumerate(found.merged)]
    schedule = make_schedule(plan_of(outputs, []), budget=2**40)
    assert found.passes == len(list(schedule.passes)) / len(outputs)
