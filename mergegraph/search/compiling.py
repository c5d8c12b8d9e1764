"""Recipes of a search, each compiled to a plan of its own, or to why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mergegraph.errors import MergeGraphError, ProblemsError
from mergegraph.families import Family
from mergegraph.library import library_of
from mergegraph.machine import no_collection
from mergegraph.planning.planner import make_plan
from mergegraph.plans import Directory, Plan
from mergegraph.plugins import Plugins
from mergegraph.preparing import identity_of
from mergegraph.recipe import parse_recipe
from mergegraph.running.early import evaluated
from mergegraph.settings import Settings


@dataclass(frozen=True)
class Asked:
    """A recipe to be made and examined, and what to call its result; it writes nothing itself."""

    name: str
    text: str


@dataclass(frozen=True)
class Compiled:
    """What a recipe comes to: one result."""

    asked: Asked
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
        file = f"{asked.name}.yaml"
        recipe = parse_recipe(file, asked.text, self._plugins.methods)
        if recipe.problems:
            raise ProblemsError(recipe.problems)
        settings = self._settings
        made = make_plan(
            [recipe],
            self._plugins.methods,
            self.library,
            places=[place],
            seed=settings.seed,
            identity=lambda each: identity_of(self._plugins, each),
            evaluate=lambda tasks: evaluated(
                tasks, self.library, budget=settings.budget, threads=settings.workers
            ),
        )
        if len(made.directories) != 1:
            others = ", ".join(str(each.path) for each in made.directories if each.path != place)
            raise MergeGraphError(f"{file}: writes {others}, too; leave 'out' out of a search")
        return Compiled(asked, made)
