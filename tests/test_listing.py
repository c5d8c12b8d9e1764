"""The installed methods as text and JSON: grouped, folded, and nothing left out."""

import json
from types import SimpleNamespace
from typing import Annotated

import pytest

from mergegraph import Between, PerModel, hookimpl, method
from mergegraph.guide.listing import ENDLESS, method_json, method_text, methods_json, methods_text
from mergegraph.plugins import collect, installed_plugins


def plugins_of(*methods, package="mergegraph 1.0", broken=()):
    """Methods as if they were all that is installed."""
    plugin = SimpleNamespace(merge_methods=hookimpl(lambda: methods))
    return collect([(package, plugin)], broken)


@method(
    group="sparse",
    paper="On Trimming, arXiv:2401.00001",
    recommended={"density": 0.2},
    counts=Between(2),
    without_effect={"int8_mask": "no mask is kept"},
)
def trim(
    base,
    models,
    *,
    weight: PerModel[float],
    density: PerModel[Annotated[float, Between(0, 1)]] = 1.0,
    rescale: bool = False,
    seeds: PerModel[int],
):
    """Drop some of the changes of each model at random, and enlarge the others to make up for it.

    θ = θ₀ + Σ wᵢ·mᵢ⊙τᵢ/density, mᵢ drawn.

    Good for models of one base. It is
    told on two lines.

    - the first point
    - the second one, which is so long that it cannot stand on a line of eighty columns

    weight: share of each model.
    density: probability that an entry
        is kept.
    """
    return base


TRIM = """\
trim

Drop some of the changes of each model at random, and enlarge the others to make
up for it.

    θ = θ₀ + Σ wᵢ·mᵢ⊙τᵢ/density, mᵢ drawn.
    (θ₀: base, τᵢ: task vectors θᵢ − θ₀, ⊙: product of entries, wᵢ: weight)

Good for models of one base. It is told on two lines.

- the first point
- the second one, which is so long that it cannot stand on a line of eighty
  columns

group     sparse
paper     On Trimming, arXiv:2401.00001
takes     a base, and 2 or more models
looks at  each tensor alone
random    draws from a seed; equal seeds give equal bytes
passes    1 over each tensor, in the recipe below

parameters
  weight     a number, per model, required
             share of each model.
  density    a number, between 0 and 1, per model, default 1, recommended 0.2
             probability that an entry is kept.
  rescale    true or false, default false
  int8_mask  accepted, changes nothing: no mask is kept

recipe, for mergegraph run FILE --out DIRECTORY

merge_method: trim
base_model: demo:base
models:
  - model: demo:north
  - model: demo:east
  - model: demo:south
  - model: demo:west
parameters:
  weight: 1
  density: 0.2"""


@method
def plain(models):
    return models[0]


def named(name, group):
    return method(name=name, group=group)(plain.function)


# -- the list --------------------------------------------------------------------------------


def test_methods_stand_under_their_groups_in_the_order_of_a_course_the_others_last():
    groups = {"a": "others", "b": "zebras", "c": "sparse", "d": "averaging", "e": "sparse"}
    told = methods_text(plugins_of(*[named(name, group) for name, group in groups.items()]))
    assert told.split("\n\n")[:-1] == [
        "averaging\n  d",
        "sparse\n  c\n  e",
        "zebras\n  b",
        "others\n  a",
    ]


def test_in_a_pipe_each_method_is_one_line_with_its_idea():
    assert methods_text(plugins_of(trim), ENDLESS).splitlines()[1] == f"  trim  {trim.summary}"


def test_a_package_is_told_if_it_is_not_the_engines_own():
    assert "[" not in methods_text(plugins_of(plain))
    assert "  plain  [other 2.0]\n" in methods_text(plugins_of(plain, package="other 2.0"))


def test_what_could_not_be_loaded_is_told_at_the_end():
    told = methods_text(plugins_of(plain, broken=["plugin 'x' of y 1: cannot"]))
    assert told.endswith("\n\nplugin 'x' of y 1: cannot")


def test_without_methods_there_is_nothing_to_tell():
    assert methods_text(collect([])) == ""


# -- one method ------------------------------------------------------------------------------


def test_a_method_is_told_in_full():
    assert method_text(plugins_of(trim), "trim", 80) == TRIM


def test_of_a_method_that_says_nothing_of_itself_the_signature_is_told():
    told = method_text(plugins_of(plain, package="other 2.0"), "plain", 80)
    assert told.startswith(
        "plain\n\n"
        "group     others\n"
        "takes     any number of models\n"
        "looks at  each tensor alone\n"
        "passes    1 over each tensor, in the recipe below\n"
        "package   other 2.0\n\n"
        "parameters: none\n\n"
        "recipe"
    )


def test_a_second_paragraph_without_a_formula_is_a_note():
    @method
    def prose(models):
        """Take the first.

        It is the one that stands in front.
        """
        return models[0]

    assert "first.\n\nIt is the one" in method_text(plugins_of(prose), "prose", 80)


def test_the_legend_leaves_out_what_the_formula_says_itself():
    @method
    def told(base, models):
        """Add.

        θ = θ₀ + τ₁, τᵢ = the change of model i.
        """
        return base

    assert "(θ₀: base)" in method_text(plugins_of(told), "told", 80)


def test_formulas_are_broken_between_their_parts_and_never_beside_an_equals_sign():
    @method
    def long(base, models):
        """Add.

        s = the sign of all that follows; u = a great number of words, v = 1; θ = θ₀ + s +
        u.
        """
        return base

    lines = method_text(plugins_of(long), "long", 38).splitlines()
    assert lines[4:8] == [
        "    s = the sign of all that follows;",
        "    u = a great number of words,",
        "    v = 1;",
        "    θ = θ₀ + s + u.",
    ]


@pytest.mark.parametrize("asks", [True, False])
def test_whole_models_are_told_to_be_looked_at(asks):
    @method(survey=lambda requests: [r.models[:1] for r in requests] if asks else [])
    def surveying(models, *, survey):
        return models[0]

    told = method_text(plugins_of(surveying), "surveying", 80)
    looks = "all tensors of the models together" if asks else "or all together if parameters say so"
    assert looks in told


@pytest.mark.parametrize("width", [60, 80, 100])
def test_every_installed_method_keeps_within_the_width(width):
    plugins = installed_plugins()
    for text in (
        methods_text(plugins, width),
        *(method_text(plugins, name, width) for name in plugins.methods),
    ):
        assert [line for line in text.splitlines() if len(line) > width] == []


# -- for programs ----------------------------------------------------------------------------


def test_json_has_everything_about_a_method():
    found = json.loads(method_json(plugins_of(trim), "trim"))
    assert found["formula"] == "θ = θ₀ + Σ wᵢ·mᵢ⊙τᵢ/density, mᵢ drawn."
    assert (found["base"], found["draws"], found["surveys"]) == ("needed", True, "never")
    assert found["parameters"][1] == {
        "name": "density",
        "values": "a number, between 0 and 1",
        "per_model": True,
        "required": False,
        "default": 1.0,
        "recommended": 0.2,
        "meaning": "probability that an entry is kept.",
    }
    assert found["recipe"] == TRIM.rpartition("\n\n")[2] + "\n"


def test_json_of_all_has_each_method_and_what_could_not_be_loaded():
    plugins = plugins_of(trim, plain, broken=["no"])
    found = json.loads(methods_json(plugins))
    assert [each["name"] for each in found["methods"]] == ["plain", "trim"]
    assert found["methods"][1] == json.loads(method_json(plugins, "trim"))
    assert found["broken"] == ["no"]
