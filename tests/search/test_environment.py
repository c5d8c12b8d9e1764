"""The environment: what scores depend on besides recipes, models and data."""

from __future__ import annotations

from dataclasses import replace

from mergegraph.plugins import installed_plugins
from mergegraph.recipe import parse_recipe
from mergegraph.search.environment import environment_of
from mergegraph.settings import Settings

TEXT = "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\n"


def environment(device="auto", others=(), **packages):
    plugins = installed_plugins()
    plugins = replace(plugins, packages={**plugins.packages, **packages})
    recipe = parse_recipe("r.yaml", TEXT, plugins.methods)
    return environment_of([recipe], plugins, Settings(device=device), others=others)


def test_packages_of_numbers_and_the_device_are_told():
    told = environment()
    assert told["the device"] == "cpu"
    assert {"the package torch", "the package numpy", "the package mergegraph"} <= told.keys()
    assert environment(device="cuda")["the device"] == "cuda"


def test_only_packages_that_are_used_are_told():
    assert environment(linear="own 2.0")["the package own"] == "2.0"
    assert environment(ties="own 2.0") == environment()
    assert environment(others=["rich"]).keys() - environment().keys() == {"the package rich"}
