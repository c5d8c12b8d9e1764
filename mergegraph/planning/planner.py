"""Compiling recipes to a plan: stages built in order, outputs and accounts drawn up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from os import PathLike
from pathlib import Path

from mergegraph import config as configs
from mergegraph.adapters.reading import Adapter, read_adapter
from mergegraph.errors import MergeGraphError, Problem, ProblemsError
from mergegraph.families import Family
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.findings import Check
from mergegraph.library import Library
from mergegraph.methods import Method
from mergegraph.models import scaled
from mergegraph.models.model import Model, SideFiles
from mergegraph.planning.ordering import in_order
from mergegraph.planning.partition import in_parts
from mergegraph.planning.places import wandering
from mergegraph.planning.planned import main_dtypes, overlaps, result_key, whole_plan
from mergegraph.planning.soundness import checks_of
from mergegraph.plans import Directory, Origin, Output, Plan
from mergegraph.recipe import Recipe, Stage
from mergegraph.recipe.tree import stage_of
from mergegraph.stages.adapter_stage import Evaluate, build_adapter
from mergegraph.stages.stage import Built, build_stage
from mergegraph.vocabulary import unite


def make_plan(
    recipes: Sequence[Recipe],
    methods: Mapping[str, Method],
    library: Library,
    *,
    places: Sequence[Path],
    seed: int | None = None,
    identity: Callable[[Recipe], str] = lambda _recipe: "",
    evaluate: Evaluate = lambda _tasks: (),
) -> Plan:
    """Compile recipes to one plan; the result of each goes to the place given for it.

    `seed` overrides the recipes' own; `identity` names the versions a recipe's results depend on;
    `evaluate` gives the values of tasks that the shapes of results depend on.
    Raises ProblemsError with everything that is wrong in the recipes and with their inputs.
    """
    planner = _Planner(methods, library, seed, identity, evaluate)
    for recipe, place in zip(recipes, places, strict=True):
        planner.add(recipe, place)
    planner.problems += overlaps(planner.directories, library)
    if planner.problems:
        raise ProblemsError(sorted(planner.problems, key=_reading_order))
    made = whole_plan(planner.outputs, planner.checks, planner.directories, library, planner.notes)
    return replace(made, families=tuple(dict.fromkeys(planner.families)))


def models_of(
    recipe: Recipe,
    methods: Mapping[str, Method],
    library: Library,
    *,
    seed: int | None = None,
    evaluate: Evaluate = lambda _tasks: (),
) -> tuple[dict[str | None, Model], tuple[str, ...]]:
    """The models that the stages of a recipe come to, by name, and notes; nothing is written.

    What has no name is under None. Raises ProblemsError with everything that is wrong.
    """
    planner = _Planner(methods, library, seed, lambda _recipe: "", evaluate)
    found = {stage.name: made.model for stage, made, _ in planner.build(recipe)}
    if planner.problems:
        raise ProblemsError(sorted(planner.problems, key=_reading_order))
    return found, tuple(dict.fromkeys(planner.notes))


class _Planner:
    """Gathers what the recipes come to."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        library: Library,
        seed: int | None,
        identity: Callable[[Recipe], str],
        evaluate: Evaluate,
    ) -> None:
        self.methods = methods
        self.library = library
        self.shelf = library.shelf()
        self.seed = seed
        self.identity = identity
        self.evaluate = evaluate
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.outputs: list[Output] = []
        self.checks: list[Check] = []
        self.families: list[Family] = []
        self.directories: list[Directory] = []

    def add(self, recipe: Recipe, place: Path) -> None:
        """Build a recipe, and write what it asks to be written."""
        for stage, made, seed in self.build(recipe):
            self.checks += made.checks
            self.families += made.families
            if stage is recipe.result or stage.out is not None:
                path = expanded(stage.out) if stage.out is not None else place
                self.problems += wandering(stage, path, place)
                self.write(recipe, stage, made, path, seed)

    def build(self, recipe: Recipe) -> Iterator[tuple[Stage, Built, int]]:
        """Every stage that nothing is wrong with, in order, and its seed."""
        self.problems += recipe.problems
        self.notes += recipe.notes
        self.shelf = self.library.shelf()
        built: dict[str, Model | None] = {each.name: None for each in recipe.stages if each.name}
        for stage in in_order(recipe.stages):
            method = self.methods.get(stage.method)
            adapters = self.adapters(stage, built, recipe)
            models = self.find(stage, built) if adapters is None else {}
            if method is None or models is None:
                continue
            seed = self.seed if self.seed is not None else stage.seed or 0
            try:
                if adapters is None:
                    made = build_stage(stage, self.over_one(stage, models), method, seed)
                else:
                    made = build_adapter(stage, adapters, method, seed, self.evaluate)
            except ProblemsError as error:
                self.problems += error.problems
                continue
            self.problems += made.problems
            self.notes += made.notes
            if made.problems:
                continue
            if stage.name is not None:
                built[stage.name] = made.model
            yield stage, made, seed

    def over_one(self, stage: Stage, models: Mapping[str, Model]) -> Mapping[str, Model]:
        """The models over the vocabulary that the stage asks for, if it does."""
        united = unite(stage, models)
        self.notes += united.notes
        if united.problems:
            raise ProblemsError(united.problems)
        return united.models

    def find(self, stage: Stage, built: Mapping[str, Model | None]) -> dict[str, Model] | None:
        """The models that a stage names; None if one could not be had, or a stage has problems."""
        models = {}
        complete = True
        for reference, place in stage.models():
            if reference in models:
                continue
            name = stage_of(reference, built)
            if name is not None and built[name] is None:
                complete = False
                continue
            try:
                models[reference] = self.model(reference, built)
                self.notes += models[reference].notes
            except MergeGraphError as error:
                close = get_close_matches(reference, built, n=1)
                remedy = f"; did you mean the stage '{close[0]}'?" if close else ""
                self.problems.append(Problem(place, f"{error}{remedy}"))
                complete = False
        return models if complete else None

    def model(self, reference: str, built: Mapping[str, Model | None]) -> Model:
        """What a reference names: a stage, one with an adapter, or else a model of files."""
        name = stage_of(reference, built)
        stage = None if name is None else built[name]
        if name is None or stage is None:
            return self.shelf.model(reference)
        adapter = reference.removeprefix(name).removeprefix("+")
        return self.shelf.folded(stage, adapter) if adapter else stage

    def adapters(
        self, stage: Stage, built: Mapping[str, Model | None], recipe: Recipe
    ) -> dict[str, tuple[Adapter, Checkpoint]] | None:
        """The adapters that a stage merges with each other; None if its models are models."""
        named = dict.fromkeys(reference for reference, _ in stage.models())
        if not all(each not in built and self.library.is_adapter(each) for each in named):
            self.problems += [stage.lacking] if stage.lacking else []
            if stage.adapter:
                fact = "adapter is for merges of adapters, and these are models"
                self.problems.append(Problem(stage.adapter.place, f"{fact}; leave it out"))
            return None
        own = () if stage.name is None else (stage.name,)
        if any(True for each in recipe.stages for _ in each.stands_on(own)):
            fact = "a merge of adapters cannot be a model of other stages; give it 'out', and name"
            self.problems.append(Problem(stage.place, f"{fact} that in another recipe"))
        opened = {each: self.library.adapter(each).called(each) for each in named}
        try:
            return {each: (read_adapter(found), found) for each, found in opened.items()}
        except MergeGraphError as error:
            raise ProblemsError([*self.problems, Problem(stage.place, str(error))]) from error

    def write(self, recipe: Recipe, stage: Stage, made: Built, path: Path, seed: int) -> None:
        if not made.model.tensors and not self.problems:
            self.problems.append(Problem(stage.place, "the result would hold no tensors"))
        self.problems += scaled.problems(stage.place, stage.out_dtype, made.model)
        self.notes += scaled.told(path, made.model)
        outputs, checks = outputs_of(stage, made.model, path, is_cut=True)
        self.outputs += outputs
        self.checks += checks
        config = made.model.config
        if config:
            config = configs.with_dtypes(config, main_dtypes(config, outputs))
            config = scaled.with_scaled(config, made.model)
        sides = self.sides(made.model)
        directory = Directory(
            path=path,
            origin=_origin(recipe, stage),
            seed=seed,
            config=config,
            sides=sides,
            parents=made.model.parents,
            explained=made.explained,
            key=result_key(self.identity(recipe), outputs, config, sides),
        )
        self.directories.append(directory)

    def sides(self, model: Model) -> SideFiles:
        """The side files of a model, with a note for those that stay behind."""
        sides = model.sides
        self.notes += [
            note
            for each in self.library.checkpoints
            if each.tree == sides.tree
            for note in each.notes
        ]
        return sides


def _origin(recipe: Recipe, stage: Stage) -> Origin:
    """What a result's card and manifest tell of the recipe it is from."""
    others = (each for each in recipe.stages if each is not stage)
    methods = dict.fromkeys(each.method for each in (stage, *reversed(list(others))))
    edges = [
        (model, each.name or "", each.method)
        for each in recipe.stages
        for model, _ in each.models()
    ]
    return Origin(recipe.file, recipe.text, stage.name, tuple(methods), stage.place, tuple(edges))


def expanded(path: str | PathLike[str]) -> Path:
    """A path with `~` put out in full, where it names a user that there is.

    Where it is a link to a directory, it is that one: a result belongs on the disk it is on.
    """
    found = Path(path)
    try:
        found = found.expanduser()
        return found.resolve() if found.is_symlink() and found.is_dir() else found
    except (OSError, RuntimeError):  # what is wrong with it is told where it is used
        return found


def outputs_of(
    stage: Stage, model: Model, directory: Path, *, is_cut: bool = False
) -> tuple[list[Output], list[Check]]:
    """The tensors of a stage in the dtypes they are stored in, and the checks of what is stored.

    What is made of parts is given in parts if it `is_cut`.
    """
    outputs = [
        Output(directory, name, each)
        for tensor, task in model.tensors.items()
        for name, each in scaled.written(tensor, task, model.stored[tensor]).items()
    ]
    if is_cut:
        outputs = [part for each in outputs for part in in_parts(each)]
    return outputs, checks_of(outputs, is_fatal=stage.on_nonfinite != "propagate")


def _reading_order(problem: Problem) -> tuple[str, int, int]:
    file, _, place = problem.place.partition(":")
    line, _, column = place.partition(":")
    return file, int(line) if line.isdigit() else 0, int(column) if column.isdigit() else 0
