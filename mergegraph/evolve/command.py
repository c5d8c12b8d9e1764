"""The command: a recipe with holes searched, its winner written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mergegraph.errors import told_refusals
from mergegraph.evolve.display import SearchDisplay, told_scores
from mergegraph.evolve.journal import Journal
from mergegraph.evolve.records import recipes_of, write_records
from mergegraph.evolve.request import Asking, asking_of
from mergegraph.evolve.searching import Found, Search
from mergegraph.evolve.space import read_space
from mergegraph.plugins import Plugins, installed_plugins
from mergegraph.preparing import Prepared, prepare
from mergegraph.recipe.reading import text_of
from mergegraph.search.compiling import Compiler, library_of
from mergegraph.search.folder import BEST, MODEL
from mergegraph.search.journal import check_bond
from mergegraph.search.laboratory import Laboratory, clear
from mergegraph.search.marks import check_unchanged
from mergegraph.search.questions import examinations_of
from mergegraph.settings import Settings


@dataclass(frozen=True)
class Evolution:
    """A search that is ready to run, in its folder."""

    asking: Asking
    journal: Journal
    plugins: Plugins
    settings: Settings
    parallel: int
    restart: bool

    @property
    def folder(self) -> Path:
        """Where everything of it goes."""
        return self.journal.folder


@told_refusals()
def prepare_evolution(
    recipe: Path,
    out: Path,
    *,
    settings: Settings,
    evaluator: str,
    report_evaluator: str | None = None,
    maximize: Sequence[str] = (),
    minimize: Sequence[str] = (),
    sampler: str | None = None,
    trials: int | None = None,
    seed: int = 0,
    population: int | None = None,
    points: int | None = None,
    parallel: int = 1,
    same_data: bool = False,
    restart: bool = False,
    plugins: Plugins | None = None,
) -> Evolution:
    """A search with everything checked and nothing written; raises MergeGraphError."""
    settings.check()
    plugins = plugins or installed_plugins()
    chooses, reports = examinations_of(evaluator, report_evaluator, plugins, same_data=same_data)
    text = text_of(str(recipe))
    compiler = Compiler(plugins, settings)
    space = read_space(str(recipe), text, compiler.library)
    asking = asking_of(
        str(recipe),
        text,
        space,
        plugins,
        compiler,
        chooses=chooses,
        reports=reports,
        maximize=maximize,
        minimize=minimize,
        sampler=sampler,
        seed=seed,
        trials=trials,
        population=population,
        points=points,
        place=out / MODEL,
    )
    asking.way.begun(space, len(asking.objectives))  # its packages are there
    check_bond(out, asking.bond, restart=restart)
    return Evolution(asking, Journal(out), plugins, settings, parallel, restart)


@told_refusals()
def search(evolution: Evolution, display: SearchDisplay) -> Found:
    """Carry out a search, or what is left of it; raises RunError if it comes to nothing."""
    asking, journal, folder = evolution.asking, evolution.journal, evolution.folder
    journal.open(asking.bond, restart=evolution.restart)
    try:
        known = {
            each.key: each.scores
            for each in journal.known.trials.values()
            if each.scores is not None and each.key
        }
        with Laboratory(
            evolution.plugins,
            evolution.settings,
            scratch=folder,
            parallel=evolution.parallel,
            known=known,
            say=display.say,
        ) as laboratory:
            made = Search(asking, journal, laboratory, display.trial)
            made.on_generation = _after(made, evolution, display)
            found = made.run()
            check_unchanged(folder, asking.marks, library_of(evolution.plugins))
            made.report(found.best)
            write_records(folder, asking, journal.known, found)
            return found
    finally:
        journal.close()


def _after(made: Search, evolution: Evolution, display: SearchDisplay) -> Callable[[], None]:
    """What is done when a generation is over."""

    def call() -> None:
        write_records(evolution.folder, evolution.asking, evolution.journal.known, made.found)
        display.generation()

    return call


def prepare_winner(evolution: Evolution, settings: Settings) -> Prepared:
    """The winner's recipe, to be run as any other; what is there of another winner is replaced."""
    recipe, journal = evolution.folder / BEST, evolution.journal
    digest = sha256(recipe.read_bytes()).hexdigest()[:32]
    is_other = journal.known.model != digest
    prepared = prepare([recipe], out=evolution.folder / MODEL, settings=settings, restart=is_other)
    if journal.known.model != digest:
        journal.open(evolution.asking.bond, restart=False)
        journal.model(digest)
        journal.close()
    return prepared


def told(evolution: Evolution, found: Found) -> list[str]:
    """What a search came to, line by line."""
    asking, known = evolution.asking, evolution.journal.known
    lines = []
    for number in found.best:
        chosen = told_scores(asking, found.trials[number].scores)
        reported = known.reported.get(str(number), {})
        lines.append(
            f"trial {number}: {chosen} by {asking.chooses.text}; "
            f"{told_scores(asking, reported.get('scores'))} by {asking.reports.text}"
        )
    for reference, each in known.parents.items():
        if each["scores"] is None:
            lines.append(f"{reference}: not examined: {each['problem']}")
            continue
        reported = known.reported_parents.get(reference, {})
        lines.append(
            f"{reference}: {told_scores(asking, each['scores'])}; "
            f"{told_scores(asking, reported.get('scores'))}"
        )
    return lines


def leave(evolution: Evolution) -> None:
    """Take away candidates that are being examined."""
    if evolution.journal.is_open:
        clear(evolution.folder)


def kept(evolution: Evolution) -> str:
    """What an interruption leaves of the work, in words."""
    count = len(evolution.journal.known.trials)
    return f"{count} of {evolution.asking.way.trials} trials are finished" if count else ""


def recipes(evolution: Evolution, found: Found) -> list[str]:
    """Where the recipes of the winners are."""
    return [f"{evolution.folder / each}: done" for each in recipes_of(evolution.asking, found)]
