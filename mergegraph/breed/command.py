"""The command `breed`: a request checked, a search carried out, and what is best of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mergegraph.breed.cooking import Kitchen
from mergegraph.breed.growing import Population
from mergegraph.breed.inputs import check_different, common_dtype, open_models
from mergegraph.breed.kin import Kin
from mergegraph.breed.members import Birth
from mergegraph.breed.nearness import measure_of
from mergegraph.breed.recipes import Merging, averaged_text, stage_text, stages_text
from mergegraph.breed.scoring import Scoring
from mergegraph.breed.wishes import SOUP, Wishes, check
from mergegraph.errors import MergeGraphError
from mergegraph.library import library_of
from mergegraph.models.model import Model
from mergegraph.plugins import Plugins
from mergegraph.recipe import Recipe, parse_recipe
from mergegraph.search.compiling import Asked, Compiler
from mergegraph.search.environment import environment_of
from mergegraph.search.examining import Examination, Objective, objectives_of
from mergegraph.search.folder import MEMBERS, clear, tidy
from mergegraph.search.journal import Bond, Journal, check_bond, digest_of
from mergegraph.search.laboratory import Laboratory
from mergegraph.search.marks import check_unchanged, marks_of
from mergegraph.search.questions import examinations_of
from mergegraph.settings import Settings

Say = Callable[[str], None]


@dataclass(frozen=True)
class Questions:
    """Which examinations choose and report, in words, and the score that is looked for."""

    chooses: str
    reports: str | None = None
    maximize: str | None = None
    minimize: str | None = None
    same_data: bool = False


@dataclass(frozen=True)
class Search:
    """A request that was checked, and is ready to be carried out; `marks` tell models apart."""

    out: Path
    wishes: Wishes
    merging: Merging
    marks: Mapping[str, str]
    bond: Bond
    chooses: Examination
    reports: Examination
    objective: Objective
    plugins: Plugins
    settings: Settings


def prepare(
    wishes: Wishes,
    questions: Questions,
    plugins: Plugins,
    settings: Settings,
    *,
    out: Path,
    restart: bool = False,
) -> Search:
    """Check a request as far as no tensor need be read; nothing is written.

    Raises MergeGraphError if a model, a method, an examination or the folder will not do.
    """
    check(wishes, plugins.methods)
    settings.check()
    chooses, reports, objective = examinations(questions, plugins)
    library = library_of(plugins)
    models = open_models(wishes.models, library)
    marks = marks_of((*wishes.models, *([wishes.base] if wishes.base else [])), library)
    check_different(models, marks)
    merging = merging_of(wishes, models, plugins)
    bond = {
        "the models": ", ".join(wishes.models),
        **wishes.bond,
        "the dtype": str(merging.dtype),
        "the evaluator": chooses.text,
        "what the evaluator looks at": digest_of(chooses.digest),
        "the score": f"{'less' if objective.is_lower_better else 'more'} {objective.name}",
        **{f"the model {name}": mark for name, mark in marks.items()},
        **environment_of([_example(wishes, merging, plugins)], plugins, settings),
    }
    check_bond(out, bond, restart=restart)
    if wishes.strategy != SOUP:
        check_pairs(wishes, merging, plugins, settings)
    return Search(out, wishes, merging, marks, bond, chooses, reports, objective, plugins, settings)


def _example(wishes: Wishes, merging: Merging, plugins: Plugins) -> Recipe:
    """The first recipe that may be asked for: all others take the same methods."""
    first, second, *_ = wishes.models
    text = averaged_text([first, second], wishes.dtype)
    if wishes.strategy != SOUP:
        text = stage_text("model-1-1", [first, second], merging)
    return parse_recipe("a pair", text, plugins.methods)


def examinations(
    questions: Questions, plugins: Plugins
) -> tuple[Examination, Examination, Objective]:
    """What chooses, what reports, and the one score that is looked for."""
    chooses, reports = examinations_of(
        questions.chooses, questions.reports, plugins, same_data=questions.same_data
    )
    found = objectives_of(
        chooses,
        [questions.maximize] if questions.maximize else [],
        [questions.minimize] if questions.minimize else [],
    )
    if len(found) > 1:
        raise MergeGraphError("--maximize and --minimize: one score is looked for; give one")
    return chooses, reports, found[0]


def merging_of(wishes: Wishes, models: Mapping[str, Model], plugins: Plugins) -> Merging:
    """How pairs are merged: with a base only where the method cannot do without."""
    method = plugins.methods[wishes.method]
    return Merging(
        method=method.name,
        parameters=wishes.parameters,
        base=wishes.base if method.needs_base else None,
        dtype=wishes.dtype or common_dtype(models),
        seed=wishes.seed,
    )


def check_pairs(wishes: Wishes, merging: Merging, plugins: Plugins, settings: Settings) -> None:
    """Raise MergeGraphError if not a single model can be merged with the first."""
    compiler = Compiler(plugins, settings)
    first, *others = wishes.models
    errors = []
    for each in others:
        birth = Birth("model-1-1", 1, (first, each))
        text = stage_text(birth.name, birth.parents, merging)
        try:
            compiler.compile(Asked(birth.name, text), Path(birth.name))
        except MergeGraphError as error:
            errors.append(error)
        else:
            return
    raise errors[0]


def carry_out(
    search: Search,
    *,
    restart: bool,
    parallel: int,
    say: Say,
    on_begun: Callable[[], None] = lambda: None,
) -> None:
    """Search, from where an earlier run stopped; all that is found is in files then.

    `on_begun` is called once the folder is this process's alone.
    """
    with Journal(search.out, search.bond, restart=restart) as journal:
        on_begun()
        if not journal.had:
            clear(search.out)
        if journal.had:
            say(f"{search.out}: goes on, {journal.had} scores and kinships are known")
        with Laboratory(
            search.plugins, search.settings, scratch=search.out, parallel=parallel, say=say
        ) as laboratory:
            scoring = Scoring(laboratory, journal)
            if search.wishes.strategy == SOUP:
                _cook(search, scoring, say)
            else:
                _grow(search, scoring, journal, say)
    check_unchanged(search.out, search.marks, library_of(search.plugins))


def _grow(search: Search, scoring: Scoring, journal: Journal, say: Say) -> None:
    wishes = search.wishes
    births: dict[str, Birth] = {}
    kin = None
    if wishes.wants_kinship and wishes.base is not None:
        measure = measure_of(
            lambda names: stages_text(names, births, search.merging),
            wishes.base,
            wishes.metric,
            search.plugins,
            search.settings,
        )
        kin = Kin(measure, journal)
    population = Population(
        search.out,
        wishes,
        search.merging,
        scoring,
        kin,
        search.chooses,
        search.reports,
        search.objective,
        say,
        births,
    )
    population.grow()
    population.report()
    tidy(search.out, MEMBERS, but={*population.files()})


def _cook(search: Search, scoring: Scoring, say: Say) -> None:
    Kitchen(
        search.out,
        search.wishes,
        scoring,
        search.chooses,
        search.reports,
        search.objective,
        say,
    ).cook()
