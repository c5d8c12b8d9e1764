"""Recipes as texts, read with the installed methods."""

from __future__ import annotations

import pytest

from mergegraph.plugins import installed_plugins
from mergegraph.recipe import parse_recipe


@pytest.fixture(scope="session")
def methods():
    return installed_plugins().methods


@pytest.fixture
def read(methods):
    """Read a recipe's text: `read("merge_method: ...", "seed=1")`, the rest being settings."""
    return lambda text, *settings: parse_recipe("r.yml", text, methods, settings)


@pytest.fixture
def problems(read):
    """What is wrong with a recipe, without the file's name, in the order of lines."""

    def found(text, *settings):
        told = [str(each).removeprefix("r.yml:") for each in read(text, *settings).problems]
        return sorted(dict.fromkeys(told), key=lambda line: [*map(_number, line.split(":")[:2])])

    return found


def _number(text):
    return int(text) if text.isdigit() else 0
