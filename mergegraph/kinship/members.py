"""The members of a kinship: models by their references, or as recipes would make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from mergegraph.errors import MergeGraphError, ProblemsError, nearest
from mergegraph.files.references import exists
from mergegraph.library import Library, Shelf
from mergegraph.models import scaled
from mergegraph.models.model import Model
from mergegraph.planning.planner import models_of
from mergegraph.plugins import Plugins
from mergegraph.recipe import Recipe, parse_recipe, read_recipe
from mergegraph.recipe.linking import unused

_RECIPES = (".yaml", ".yml")

Stages = Mapping[str | None, Model]


@dataclass(frozen=True)
class Request:
    """Models, and the base that they were made of, by references.

    A model may be a recipe file, which need not have been run, or with `#name` one of its stages;
    of the `recipe`, a text that is in no file, stages are models by their names.
    """

    base: str
    models: tuple[str, ...]
    recipe: str | None = None

    def check(self) -> None:
        """Raise MergeGraphError if something cannot be asked for."""
        if not self.models:
            raise MergeGraphError("no models: name those that are to be measured")
        for first, second in combinations(self.models, 2):
            if first == second:
                raise MergeGraphError(f"{first}: is there twice; name each model once")


@dataclass(frozen=True)
class Members:
    """The base and the models, opened, and what there is to know of them."""

    base: Model
    models: tuple[Model, ...]
    notes: tuple[str, ...]


class Opener:
    """Opens the members of one request."""

    def __init__(self, plugins: Plugins, library: Library, *, seed: int | None = None) -> None:
        self._plugins = plugins
        self._library = library
        self._seed = seed
        self._shelf: Shelf = library.shelf()
        self._known: dict[str, tuple[str | None, Stages]] = {}
        self._notes: list[str] = []

    def open(self, request: Request) -> Members:
        """Open everything; raises MergeGraphError if something cannot be had."""
        request.check()
        stages: Stages = {}
        if request.recipe is not None:
            stages = self._built(parse_recipe("recipe", request.recipe, self._plugins.methods))
        base = self._one(request.base, stages)
        models = tuple(self._one(each, stages) for each in request.models)
        notes = [note for each in (base, *models) for note in each.notes]
        return Members(base, models, tuple(dict.fromkeys([*self._notes, *notes])))

    def _one(self, text: str, stages: Stages) -> Model:
        """What a text names: a stage, a recipe, or a model."""
        found = stages.get(text)
        if found is None:
            file, mark, stage = text.partition("#")
            if file.endswith(_RECIPES) and not exists(text):
                found = self._stage(file, stage if mark else None)
            elif text.endswith(_RECIPES):
                found = self._stage(text, None)
            else:
                found = self._shelf.model(text)
        return replace(found, reference=text)

    def _stage(self, file: str, name: str | None) -> Model:
        """A stage of a recipe file, or its result."""
        if file not in self._known:
            recipe = read_recipe(file, self._plugins.methods)
            result = recipe.result.name if recipe.result else None
            self._known[file] = result, self._built(recipe)
        result, stages = self._known[file]
        name = result if name is None else name
        if name not in stages:
            names = [each for each in stages if each]
            raise MergeGraphError(f"{file}: has no stage '{name}'{nearest(str(name), names)}")
        return stages[name]

    def _built(self, recipe: Recipe) -> Stages:
        """The stages of a recipe as they would be read once they were written."""
        idle = {*unused(recipe.stages)}  # whoever asks for a stage uses it
        recipe = replace(recipe, problems=tuple(p for p in recipe.problems if p not in idle))
        methods, library = self._plugins.methods, self._library
        if recipe.problems:
            raise ProblemsError(recipe.problems)
        found, notes = models_of(recipe, methods, library, seed=self._seed)
        self._notes += notes
        return {name: _stored(model) for name, model in found.items()}


def _stored(model: Model) -> Model:
    """A model that is not yet made, rounded as it will be."""
    tensors = {
        name: scaled.rounded(task, model.stored[name]) if task.spec.is_float else task
        for name, task in model.tensors.items()
    }
    return replace(model, tensors=tensors, notes=())
