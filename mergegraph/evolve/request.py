"""What a search is asked for, checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mergegraph.errors import MergeGraphError, ProblemsError, nearest
from mergegraph.evolve.genes import Point
from mergegraph.evolve.sampling import (
    SAMPLERS,
    GridSampler,
    RandomSampler,
    Sampler,
    grid_size,
)
from mergegraph.evolve.space import Space
from mergegraph.plugins import Plugins
from mergegraph.recipe import Recipe, parse_recipe
from mergegraph.recipe.tree import stage_of
from mergegraph.search.compiling import Asked, Compiler
from mergegraph.search.examining import Examination, Objective, objectives_of
from mergegraph.search.journal import Bond, digest_of
from mergegraph.search.marks import Marks, marks_of

TRIALS = 100
POINTS = 5
_TRIES = 8  # points at which it is tried whether a recipe can be made at all


@dataclass(frozen=True)
class Way:
    """How points are chosen."""

    sampler: str
    seed: int
    trials: int
    population: int | None = None
    points: int = POINTS

    def begun(self, space: Space, objectives: int) -> Sampler:
        """The sampler at its start; raises MergeGraphError if a package is missing."""
        genes, given = space.genes, {"seed": self.seed, "population": self.population}
        if self.sampler == "random":
            return RandomSampler(genes, seed=self.seed, population=self.population)
        if self.sampler == "grid":
            return GridSampler(genes, points=self.points, population=self.population)
        try:
            if self.sampler == "nsga2":
                from mergegraph.evolve.pareto import ParetoSampler

                return ParetoSampler(genes, objectives=objectives, **given)  # type: ignore[arg-type]
            from mergegraph.evolve.evolution import EvolutionSampler

            return EvolutionSampler(genes, **given)  # type: ignore[arg-type]
        except ImportError as error:
            fact = f"--sampler {self.sampler} needs {error.name}: pip install 'mergegraph[evolve]'"
            remedy = "random and grid work without"
            raise MergeGraphError(f"{fact}; {remedy}") from error


def way_of(
    space: Space,
    objectives: Sequence[Objective],
    *,
    sampler: str | None,
    seed: int,
    trials: int | None,
    population: int | None,
    points: int | None,
) -> Way:
    """How points are chosen, as options say; raises MergeGraphError if they do not go together."""
    name = sampler or ("cmaes" if len(objectives) == 1 else "nsga2")
    if name not in SAMPLERS:
        raise MergeGraphError(f"--sampler {name}: there is none{nearest(name, SAMPLERS)}")
    if name == "cmaes" and len(objectives) > 1:
        fact = f"--sampler cmaes looks for one score, not for {len(objectives)}"
        raise MergeGraphError(f"{fact}; take nsga2, random or grid")
    if points is not None and name != "grid":
        raise MergeGraphError(f"--points: only a grid has them, {name} has none")
    if name != "grid":
        return Way(name, seed, trials or TRIALS, population)
    size = grid_size(space.genes, points or POINTS)
    if trials is not None and trials < size:
        fact = f"--trials {trials}: the grid has {size} points"
        raise MergeGraphError(f"{fact}; allow as many, or take fewer --points")
    return Way(name, seed, size, population, points or POINTS)


@dataclass(frozen=True)
class Asking:
    """A search, checked: what is looked for, where, and how."""

    file: str
    space: Space
    chooses: Examination
    reports: Examination
    objectives: tuple[Objective, ...]
    way: Way
    marks: Marks
    bond: Bond

    @property
    def parents(self) -> tuple[str, ...]:
        """The models that the recipe names."""
        return tuple(self.marks)


def variations(space: Space) -> Iterator[tuple[str, int, Point]]:
    """Every choice of a space, in words, with its gene's number, and all else as at the start."""
    start = space.start
    for i, gene in enumerate(space.genes):
        if gene.form == "choice":
            for level, label in enumerate(gene.choices or ()):
                point = (*start[:i], level, *start[i + 1 :])
                yield f"where {gene.name} is {label}", i, point
        elif gene.form == "switch":
            yield f"with {gene.name}", i, (*start[:i], 1.0, *start[i + 1 :])


def check_recipes(
    file: str, space: Space, compiler: Compiler, plugins: Plugins, place: Path
) -> tuple[str, ...]:
    """The models that recipes of a space name, their bases among them.

    Raises MergeGraphError if a choice cannot be merged, whatever else is chosen, as headers tell.
    """
    named: dict[str, None] = {}
    for told, gene, point in (("", -1, space.start), *variations(space)):
        is_choice = gene < 0 or space.genes[gene].form == "choice"
        problem: MergeGraphError | None = None
        for each in (point, *_beside(space, gene, point)):
            try:
                found = _parsed(file, space.filled(each).text, plugins)
                if is_choice:
                    compiler.compile(Asked(Path(file).stem, found.text), place)
            except MergeGraphError as error:
                problem = problem or error
            else:
                named |= dict.fromkeys(_models(found))
                break
        else:
            if problem is not None and is_choice:
                raise _never(problem, told)
    return tuple(named)


def _models(recipe: Recipe) -> Iterator[str]:
    """The models that a recipe names, and that are no stages of it."""
    stages = [stage.name for stage in recipe.stages if stage.name]
    for stage in recipe.stages:
        yield from (model for model, _ in stage.models() if stage_of(model, stages) is None)


def _never(problem: MergeGraphError, told: str) -> MergeGraphError:
    """What to tell of a choice with which nothing can be merged."""
    if not told:
        return problem
    remedy = "what only some choices take goes with them into <<: {search: [{...}, {...}]}"
    return MergeGraphError(*(f"{line} ({told})" for line in str(problem).splitlines()), remedy)


def _beside(space: Space, gene: int, point: Point) -> Iterator[Point]:
    """Points anywhere that have one gene in common with a point."""
    for drawn in RandomSampler(space.genes, seed=0, population=_TRIES).ask():
        yield tuple(point[i] if i == gene else each for i, each in enumerate(drawn))


def _parsed(file: str, text: str, plugins: Plugins) -> Recipe:
    recipe = parse_recipe(file, text, plugins.methods)
    if recipe.problems:
        raise ProblemsError(recipe.problems)
    return recipe


def bond_of(asking: Asking, text: str, plugins: Plugins) -> Bond:
    """What a journal must have in common with a search that goes on with it."""
    way = asking.way
    told = [f"{'-' if each.is_lower_better else '+'}{each.name}" for each in asking.objectives]
    bond = {
        "the recipe": digest_of(text),
        "the evaluator": asking.chooses.text,
        "the evaluator that reports": asking.reports.text,
        "what the evaluator looks at": digest_of(asking.chooses.digest),
        "what the evaluator that reports looks at": digest_of(asking.reports.digest),
        "what is looked for": " ".join(told),
        "--sampler": way.sampler,
        "--seed": str(way.seed),
        "--population": str(way.population),
        "--points": str(way.points),
        "installed packages": digest_of(*_versions(way.sampler), *plugins.packages.values()),
    }
    return bond | {f"the model {name}": mark for name, mark in asking.marks.items()}


def _versions(sampler: str) -> Iterator[str]:
    packages: Mapping[str, tuple[str, ...]] = {
        "cmaes": ("cmaes", "numpy"),
        "nsga2": ("optuna", "numpy"),
    }
    for name in ("mergegraph", *packages.get(sampler, ("numpy",))):
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} is there"


def asking_of(
    file: str,
    text: str,
    space: Space,
    plugins: Plugins,
    compiler: Compiler,
    *,
    chooses: Examination,
    reports: Examination,
    maximize: Sequence[str],
    minimize: Sequence[str],
    sampler: str | None,
    seed: int,
    trials: int | None,
    population: int | None,
    points: int | None,
    place: Path,
) -> Asking:
    """A search as options say; raises MergeGraphError if it cannot be made."""
    objectives = objectives_of(chooses, maximize, minimize)
    way = way_of(
        space,
        objectives,
        sampler=sampler,
        seed=seed,
        trials=trials,
        population=population,
        points=points,
    )
    parents = check_recipes(file, space, compiler, plugins, place)
    marks = marks_of(parents, compiler.library)
    asking = Asking(file, space, chooses, reports, objectives, way, marks, {})
    return replace(asking, bond=bond_of(asking, text, plugins))
