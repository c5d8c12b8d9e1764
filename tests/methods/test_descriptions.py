"""Every bundled method says what users have to know of it, and has a recipe."""

import re
from pathlib import Path

from mergegraph.guide.describing import GROUPS, describe
from mergegraph.plugins import installed_plugins
from mergegraph.recipe import read_recipe

RECIPES = Path(__file__).parent.parent.parent / "recipes"
PLUGINS = installed_plugins()
FOUND = {name: describe(PLUGINS, name) for name in PLUGINS.methods}
BUNDLED = {name: each for name, each in FOUND.items() if each.is_bundled}
WITHOUT_PAPER = {"arcee_fusion", "multislerp", "nearswap", "nuslerp", "passthrough"}


def lacking(has):
    """The names of the bundled methods that lack something."""
    return [name for name, each in BUNDLED.items() if not has(each)]


def test_every_method_is_in_a_group():
    assert lacking(lambda each: each.group in GROUPS) == []


def test_every_method_names_its_paper_where_there_is_one():
    assert lacking(lambda each: each.paper or each.name in WITHOUT_PAPER) == []


def test_papers_are_told_by_title_and_number():
    numbered = re.compile(r".{10,}, (arXiv:\d{4}\.\d{5}|.*\d{4})$")
    assert lacking(lambda each: not each.paper or numbered.match(each.paper)) == []


def test_every_method_says_its_idea_in_a_sentence():
    assert lacking(lambda each: each.idea.endswith(".") and len(each.idea) <= 100) == []


def test_every_method_has_a_formula():
    assert lacking(lambda each: each.formula) == []


def test_every_parameter_is_explained():
    told = {n: [p.name for p in each.parameters if not p.meaning] for n, each in BUNDLED.items()}
    assert {name: silent for name, silent in told.items() if silent} == {}


def test_every_method_has_a_recipe_of_its_own_name():
    def has_recipe(each):
        path = RECIPES / f"{each.name}.yaml"
        if not path.exists():
            return False
        recipe = read_recipe(str(path), PLUGINS.methods)
        return not recipe.problems and each.name in {stage.method for stage in recipe.stages}

    assert lacking(has_recipe) == []
