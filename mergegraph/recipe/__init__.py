"""Recipes: what the user asked for."""

from mergegraph.recipe.reading import parse_recipe, read_recipe
from mergegraph.recipe.tree import (
    AdapterRank,
    Module,
    Recipe,
    Slice,
    Source,
    Stage,
    TokenizerRules,
    TokenRule,
)

__all__ = [
    "AdapterRank",
    "Module",
    "Recipe",
    "Slice",
    "Source",
    "Stage",
    "TokenRule",
    "TokenizerRules",
    "parse_recipe",
    "read_recipe",
]
