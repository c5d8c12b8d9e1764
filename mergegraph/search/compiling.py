"""Recipes of a search, each compiled to a plan of its own, or to why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mergegraph.errors import MergeGraphError, ProblemsError
from mergegraph.families import Family
from mergegraph.library import library_of
from mergegraph.machine import no_collection
from mergegraph.plans import Directory, Plan
from mergegraph.plugins import Plugins
from mergegraph.preparing import planned
from mergegraph.recipe import Recipe, parse_recipe
from mergegraph.settings import Settings


@dataclass(frozen=True)
class Asked:
    """A recipe to be made and examined, and what to call its result; it writes nothing itself."""

    name: str
    text: str
    file: str = ""  # that problems are told of; made of its name where it is in none


@dataclass(frozen=True)
class Compiled:
    """What a recipe comes to: one result."""

    asked: Asked
    recipe: Recipe
    plan: Plan

    @property
    def directory(self) -> Directory:
        """The result, which need not be written."""
        return self.plan.directories[0]

    @property
    def key(self) -> str:
        """A digest of everything that the bytes of the result depend on."""
        return self.directory.key

    @property
    def families(self) -> tuple[Family, ...]:
        """What its models are taken for."""
        return self.plan.families

    @property
    def nbytes(self) -> int:
        """The bytes of the result's tensors."""
        return sum(each.task.spec.nbytes for each in self.plan.outputs)


class Compiler:
    """Compiles recipes whose models are opened once."""

    def __init__(self, plugins: Plugins, settings: Settings) -> None:
        self._plugins = plugins
        self._settings = settings
        self.library = library_of(plugins)

    @no_collection()
    def compile(self, asked: Asked, place: Path) -> Compiled:
        """The plan of a recipe, whose result would go to a place.

        Raises MergeGraphError if it is not sound.
        """
        recipe = self.parsed(asked)
        made = planned([recipe], self._plugins, self.library, self._settings, places=[place])
        if len(made.directories) != 1:
            others = ", ".join(str(each.path) for each in made.directories if each.path != place)
            raise MergeGraphError(
                f"{recipe.file}: writes {others}, too; leave 'out' out of a search"
            )
        return Compiled(asked, recipe, made)

    def parsed(self, asked: Asked) -> Recipe:
        """The recipe as it is read; raises ProblemsError if it is not sound."""
        file = asked.file or f"{asked.name}.yaml"
        recipe = parse_recipe(file, asked.text, self._plugins.methods)
        if recipe.problems:
            raise ProblemsError(recipe.problems)
        return recipe
