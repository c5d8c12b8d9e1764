"""Names and defaults of parameters: mergekit's, so that a recipe means what it meant there."""

from __future__ import annotations

from math import inf

import pytest

from mergegraph.plugins import installed_plugins

REQUIRED = inf

VECTORS = {"weight": REQUIRED, "normalize": False, "lambda": 1.0}
SPARSE = {**VECTORS, "density": 1.0, "rescale": False}
MERGEKIT = {
    "linear": {"weight": REQUIRED, "normalize": True},
    "slerp": {"t": REQUIRED},
    "task_arithmetic": VECTORS,
    "ties": {**SPARSE, "normalize": True},
    "dare_linear": {**SPARSE, "rescale": True},
    "dare_ties": {**SPARSE, "rescale": True},
    "breadcrumbs": {**SPARSE, "gamma": 0.01},
    "breadcrumbs_ties": {**SPARSE, "gamma": 0.01},
    "della": {**SPARSE, "epsilon": 0.15, "normalize": True, "rescale": True},
    "della_linear": {**SPARSE, "epsilon": 0.15, "rescale": True},
    "model_stock": {"filter_wise": False},
    "passthrough": {"scale": None},
}
OURS = {
    "slerp": {"dot_threshold"},
    "ties": {"elect"},
    "breadcrumbs": {"beta"},
    "breadcrumbs_ties": {"beta"},
    "model_stock": {"clip"},
}
PER_MODEL = {"weight", "density", "gamma", "epsilon", "beta", "scale"}
WITH_BASE = MERGEKIT.keys() - {"linear", "slerp", "passthrough"}

METHODS = installed_plugins().methods
every_method = pytest.mark.parametrize("name", MERGEKIT)


@every_method
def test_parameters_are_mergekits_and_a_few_of_our_own(name):
    known = METHODS[name].parameters
    assert known.keys() == MERGEKIT[name].keys() | OURS.get(name, set())


@every_method
def test_defaults_are_mergekits(name):
    known = METHODS[name].parameters
    found = {each: REQUIRED if known[each].required else known[each].default for each in known}
    assert {each: found[each] for each in MERGEKIT[name]} == MERGEKIT[name]


@every_method
def test_what_is_set_for_each_model_is_mergekits_choice(name):
    known = METHODS[name].parameters
    assert {each for each in known if known[each].per_model} == known.keys() & PER_MODEL


@every_method
def test_a_base_is_needed_where_task_vectors_are(name):
    assert METHODS[name].needs_base == (name in WITH_BASE)


@every_method
def test_every_parameter_is_explained(name):
    assert all(each.help for each in METHODS[name].parameters.values())


@every_method
def test_int8_mask_may_stand_where_mergekit_has_masks(name):
    is_general = name in WITH_BASE and name != "model_stock"
    assert ("int8_mask" in METHODS[name].without_effect) == is_general
