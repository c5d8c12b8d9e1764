"""Recipes: what the user asked for."""

from mergegraph.recipe.reading import parse_recipe, read_recipe
from mergegraph.recipe.tree import Module, Recipe, Slice, Source, Stage

__all__ = ["Module", "Recipe", "Slice", "Source", "Stage", "parse_recipe", "read_recipe"]
