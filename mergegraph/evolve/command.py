"""The command: a recipe with holes searched, its winner written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mergegraph.errors import told_refusals
from mergegraph.evolve.display import SearchDisplay, told_scores
from mergegraph.evolve.journal import Journal
from mergegraph.evolve.options import Options
from mergegraph.evolve.records import recipes_of, write_records
from mergegraph.evolve.request import SearchRequest, request_of
from mergegraph.evolve.searching import Found, Search
from mergegraph.library import library_of
from mergegraph.plugins import Plugins, installed_plugins
from mergegraph.preparing import Prepared
from mergegraph.search import winner
from mergegraph.search.folder import MODEL, clear
from mergegraph.search.journal import check_bond
from mergegraph.search.laboratory import Laboratory, clear_candidates
from mergegraph.search.marks import check_unchanged
from mergegraph.settings import Settings


@dataclass(frozen=True)
class PreparedSearch:
    """A search that is ready to run, in its folder."""

    request: SearchRequest
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
def prepare_search(
    recipe: Path,
    out: Path,
    options: Options,
    *,
    settings: Settings,
    parallel: int = 1,
    restart: bool = False,
    plugins: Plugins | None = None,
) -> PreparedSearch:
    """A search with everything checked and nothing written; raises MergeGraphError."""
    settings.check()
    plugins = plugins or installed_plugins()
    request = request_of(str(recipe), options, plugins, settings, place=out / MODEL)
    check_bond(out, request.bond, restart=restart)
    return PreparedSearch(request, Journal(out), plugins, settings, parallel, restart)


@told_refusals()
def search(prepared: PreparedSearch, display: SearchDisplay) -> Found:
    """Carry out a search, or what is left of it; raises RunError if it comes to nothing."""
    request, journal, folder = prepared.request, prepared.journal, prepared.folder
    try:
        journal.open(request.bond, restart=prepared.restart)
        if journal.is_new:
            clear(folder)
        display.goes_on(len(journal.known.trials))
        known = {
            each.key: each.scores
            for each in journal.known.trials.values()
            if each.scores is not None and each.key
        }
        with Laboratory(
            prepared.plugins,
            prepared.settings,
            scratch=folder,
            parallel=prepared.parallel,
            known=known,
            say=display.say,
        ) as laboratory:
            made = Search(
                request,
                journal,
                laboratory,
                on_known=display.known,
                on_trial=display.trial,
                on_generation=lambda found: _settle(prepared, found, display),
            )
            found = made.run()
            check_unchanged(folder, request.marks, library_of(prepared.plugins))
            made.report(found.best)
            write_records(folder, request, journal.known, found)
            return found
    finally:
        journal.close()


def _settle(prepared: PreparedSearch, found: Found, display: SearchDisplay) -> None:
    """Write and tell what there is after a generation."""
    write_records(prepared.folder, prepared.request, prepared.journal.known, found)
    display.generation()


def prepare_winner(prepared: PreparedSearch, settings: Settings) -> Prepared:
    """The winner's recipe, to be run as any other."""
    return winner.prepare_winner(prepared.folder, prepared.request.bond, settings)


def told(prepared: PreparedSearch, found: Found) -> list[str]:
    """What a search came to, line by line."""
    request, known = prepared.request, prepared.journal.known
    lines = []
    for number in found.best:
        chosen = told_scores(request, found.trials[number].scores)
        reported = known.reported.get(str(number), {})
        lines.append(
            f"trial {number}: {chosen} by {request.chooses.text}; "
            f"{told_scores(request, reported.get('scores'))} by {request.reports.text}"
        )
    for reference, each in known.parents.items():
        if each["scores"] is None:
            lines.append(f"{reference}: not examined: {each['problem']}")
            continue
        reported = known.reported_parents.get(reference, {})
        lines.append(
            f"{reference}: {told_scores(request, each['scores'])}; "
            f"{told_scores(request, reported.get('scores'))}"
        )
    return lines


def leave(prepared: PreparedSearch) -> None:
    """Take away candidates that are being examined."""
    if prepared.journal.is_open:
        clear_candidates(prepared.folder)


def kept(prepared: PreparedSearch) -> str:
    """What an interruption leaves of the work, in words."""
    count = len(prepared.journal.known.trials)
    return f"{count} of {prepared.request.way.trials} trials are finished" if count else ""


def recipes(prepared: PreparedSearch, found: Found) -> list[str]:
    """Where the recipes of the winners are."""
    return [f"{prepared.folder / each}: done" for each in recipes_of(prepared.request, found)]
