"""What a search is asked for, checked before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mergegraph.evolve.checking import check_recipes, models_of
from mergegraph.evolve.options import Options
from mergegraph.evolve.space import Space, read_space
from mergegraph.evolve.way import Way, way_of
from mergegraph.plugins import Plugins
from mergegraph.recipe.reading import text_of
from mergegraph.search.compiling import Compiler
from mergegraph.search.environment import environment_of
from mergegraph.search.examining import Examination, Objective, objectives_of
from mergegraph.search.journal import Bond, digest_of
from mergegraph.search.marks import Marks, marks_of
from mergegraph.search.questions import examinations_of
from mergegraph.settings import Settings


@dataclass(frozen=True)
class SearchRequest:
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


def request_of(
    file: str, options: Options, plugins: Plugins, settings: Settings, *, place: Path
) -> SearchRequest:
    """A search of a recipe as options say; raises MergeGraphError if it cannot be made."""
    chooses, reports = examinations_of(
        options.evaluator, options.report_evaluator, plugins, same_data=options.same_data
    )
    text, compiler = text_of(file), Compiler(plugins, settings)
    space = read_space(file, text, compiler.library)
    objectives = objectives_of(chooses, options.maximize, options.minimize)
    way = way_of(space, objectives, options)
    way.begun(space, len(objectives))  # its packages are there
    recipes = check_recipes(file, space, compiler, place)
    marks = marks_of(dict.fromkeys(models_of(recipes)), compiler.library)
    request = SearchRequest(file, space, chooses, reports, objectives, way, marks, {})
    environment = environment_of(recipes, plugins, settings, others=way.packages)
    return replace(request, bond=bond_of(request, text, environment))


def bond_of(request: SearchRequest, text: str, environment: Bond) -> Bond:
    """What a journal must have in common with a search that goes on with it."""
    way = request.way
    told = [f"{'-' if each.is_lower_better else '+'}{each.name}" for each in request.objectives]
    bond = {
        "the recipe": digest_of(text),
        "the evaluator": request.chooses.text,
        "the evaluator that reports": request.reports.text,
        "what the evaluator looks at": digest_of(request.chooses.digest),
        "what the evaluator that reports looks at": digest_of(request.reports.digest),
        "what is looked for": " ".join(told),
        "--sampler": way.sampler,
        "--seed": str(way.seed),
        "--population": str(way.population),
        "--points": str(way.points),
    }
    return {**bond, **environment} | {
        f"the model {name}": mark for name, mark in request.marks.items()
    }
