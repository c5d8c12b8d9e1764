"""Gathering: what a recipe comes to, stage by stage, planned and not run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.library import Library, Shelf, library_of
from mergegraph.machine import no_collection
from mergegraph.models.model import Model
from mergegraph.planning.partition import wholes
from mergegraph.plans import Plan
from mergegraph.plugins import Plugins
from mergegraph.preparing import planned
from mergegraph.recipe import Recipe, Stage
from mergegraph.scheduling.schedule import Schedule, make_schedule
from mergegraph.settings import Settings
from mergegraph.stages.stage import Explained
from mergegraph.tasks import Task

_NOWHERE = Path(".mergegraph-report")  # where stages would go; nothing is written
_SAID = "--set"  # what is said on the command line may lead anywhere


@dataclass(frozen=True)
class Merge:
    """One stage: its tensors as tasks, and what each was made of."""

    name: str
    stage: Stage
    tensors: Mapping[str, Task]
    explained: Mapping[str, Explained]

    @property
    def told(self) -> str:
        """Its name with its method, if that is not the name."""
        method = self.stage.method
        return self.name if self.name == method else f"{self.name} ({method})"

    @property
    def merged(self) -> Iterator[tuple[str, Explained]]:
        """The tensors that the method made, with what they were made of."""
        return ((n, each) for n, each in self.explained.items() if each.how == self.stage.method)


@dataclass(frozen=True)
class Looked:
    """A recipe with everything that can be known before a run."""

    recipe: Recipe
    merges: tuple[Merge, ...]
    plan: Plan
    schedule: Schedule
    library: Library
    shelf: Shelf

    @property
    def inputs(self) -> dict[str, Model]:
        """The models of files that stages are made of, by the names that the recipe has."""
        found: dict[str, Model] = {}
        for merge in self.merges:
            for told in merge.explained.values():
                for part in told.parts:
                    if part.model.is_input:
                        found.setdefault(part.source.model, part.model)
        return found

    @property
    def base(self) -> str | None:
        """The model of files that most stages have for their base, if any."""
        named = [each.stage.base for each in self.merges]
        stages = {each.stage.name for each in self.merges}
        bases = [each for each in named if each is not None and each not in stages]
        return max(dict.fromkeys(bases), key=bases.count) if bases else None


@no_collection()
def look(recipe: Recipe, plugins: Plugins, settings: Settings) -> Looked:
    """Plan a recipe, and each of its stages as a result of its own.

    Raises MergeGraphError if it could not be run.
    """
    settings.check()
    library = library_of(plugins)
    places = [_NOWHERE / "result"]
    plan = planned([recipe], plugins, library, settings, places=places)
    schedule = make_schedule(
        plan, budget=settings.budget, threads=settings.workers, reserve=settings.reserve(plan)
    )
    if len(recipe.stages) == 1:
        merges = tuple(_merges(recipe, plan))
    else:
        apart = planned([_apart(recipe)], plugins, library, settings, places=places)
        merges = tuple(_merges(recipe, apart))
    return Looked(recipe, merges, plan, schedule, library, library.shelf())


def _apart(recipe: Recipe) -> Recipe:
    """The recipe with a place of its own for every stage."""
    stages = {
        id(each): replace(each, out=str(_NOWHERE / f"stage-{i}"), out_place=_SAID)
        for i, each in enumerate(recipe.stages)
    }
    result = None if recipe.result is None else stages[id(recipe.result)]
    return replace(recipe, stages=tuple(stages.values()), result=result)


def _merges(recipe: Recipe, plan: Plan) -> Iterator[Merge]:
    """The stages of a plan that writes them all."""
    tensors: dict[Path, dict[str, Task]] = {}
    for each in wholes(plan.outputs):
        tensors.setdefault(each.directory, {})[each.name] = each.task
    stages = {each.name: each for each in recipe.stages}
    for directory in plan.directories:
        stage = stages[directory.origin.stage]
        name = stage.name or recipe.name
        yield Merge(name, stage, tensors.get(directory.path, {}), directory.explained)


def model_of(looked: Looked, reference: str, option: str) -> Model:
    """A model by its reference; raises MergeGraphError that says where it was named."""
    try:
        return looked.shelf.model(reference)
    except MergeGraphError as error:
        raise MergeGraphError(f"{option} {reference}: {error}") from error
