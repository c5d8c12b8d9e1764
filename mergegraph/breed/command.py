"""The command `breed`: a request checked, a search carried out, and what is best of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mergegraph.breed.cooking import Kitchen
from mergegraph.breed.growing import Population
from mergegraph.breed.inputs import check_different, common_dtype, identities, open_models
from mergegraph.breed.journal import Bond, Journal, check_bond
from mergegraph.breed.kin import Kin
from mergegraph.breed.members import Birth
from mergegraph.breed.nearness import measure_of
from mergegraph.breed.recipes import Merging, stage_text, stages_text
from mergegraph.breed.record import clear, scratch
from mergegraph.breed.scoring import Scoring
from mergegraph.breed.wishes import SOUP, Wishes, check
from mergegraph.errors import MergeGraphError, RunError
from mergegraph.library import Library
from mergegraph.models.model import Model
from mergegraph.plugins import Plugins
from mergegraph.search.compiling import Asked, Compiler
from mergegraph.search.examining import (
    CHOOSES,
    REPORTS,
    Examination,
    Objective,
    check_apart,
    objectives_of,
    read_examination,
)
from mergegraph.search.laboratory import Laboratory
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
    library = Library(plugins.sources, tuple(plugins.codecs.values()))
    models = open_models(wishes.models, library)
    base = open_models([wishes.base] if wishes.base else [], library)
    marks = identities({**models, **base})
    check_different(models, marks)
    merging = merging_of(wishes, models, plugins)
    bond = {
        "the models": ", ".join(wishes.models),
        **wishes.bond,
        "the dtype": str(merging.dtype),
        "the evaluator": chooses.text,
        "the content of the data that chooses": chooses.digest,
        "the score": f"{'less' if objective.is_lower_better else 'more'} {objective.name}",
        **{f"the content of {name}": mark for name, mark in marks.items()},
    }
    check_bond(out, bond, restart=restart)
    if wishes.strategy != SOUP:
        check_pairs(wishes, merging, plugins, settings)
    return Search(out, wishes, merging, marks, bond, chooses, reports, objective, plugins, settings)


def examinations(
    questions: Questions, plugins: Plugins
) -> tuple[Examination, Examination, Objective]:
    """What chooses, what reports, and the one score that is looked for."""
    chooses = read_examination(questions.chooses, plugins, split=CHOOSES)
    reports = _reports(questions, chooses, plugins)
    check_apart(chooses, reports, same_data=questions.same_data)
    found = objectives_of(
        chooses,
        [questions.maximize] if questions.maximize else [],
        [questions.minimize] if questions.minimize else [],
    )
    if len(found) > 1:
        raise MergeGraphError("--maximize and --minimize: one score is looked for; give one")
    return chooses, reports, found[0]


def _reports(questions: Questions, chooses: Examination, plugins: Plugins) -> Examination:
    """What reports: what was asked for, or else the evaluator on its own other data."""
    splits = chooses.evaluator.splits
    if questions.reports is not None:
        return read_examination(questions.reports, plugins, split=REPORTS)
    if questions.same_data:
        return chooses
    if splits is not None and splits[REPORTS] != chooses.data:
        return replace(chooses, data=splits[REPORTS])
    fact = f"--evaluator {questions.chooses}: no other data is named to report with"
    raise MergeGraphError(f"{fact}; give --report-evaluator, or --same-data")


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


def carry_out(search: Search, *, restart: bool, parallel: int, say: Say) -> None:
    """Search, from where an earlier run stopped; all that is found is in files then."""
    with Journal(search.out, search.bond, restart=restart) as journal:
        if not journal.had:
            clear(search.out)
        if journal.had:
            say(f"{search.out}: goes on, {journal.had} scores and kinships are known")
        with (
            scratch(search.out) as folder,
            Laboratory(
                search.plugins, search.settings, scratch=folder, parallel=parallel, say=say
            ) as laboratory,
        ):
            scoring = Scoring(laboratory, journal)
            if search.wishes.strategy == SOUP:
                _cook(search, scoring, say)
            else:
                _grow(search, scoring, journal, say)
    _check_unchanged(search)


def _check_unchanged(search: Search) -> None:
    """Raise RunError if a model is not what it was: scores are of both then."""
    library = Library(search.plugins.sources, tuple(search.plugins.codecs.values()))
    now = identities(open_models([*search.marks], library))
    if changed := [name for name, mark in search.marks.items() if now[name] != mark]:
        fact = f"{', '.join(changed)} changed during the search"
        raise RunError(f"{search.out}: {fact}; begin anew with --restart")


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
    clear(search.out, but={*population.files()})


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
