"""The winner of a search: its recipe, to be run as any other."""

from __future__ import annotations

from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.preparing import Prepared, prepare
from mergegraph.search.folder import BEST, MODEL
from mergegraph.search.journal import Bond, Journal
from mergegraph.settings import Settings

_FACT = ("model", "")  # that the model in the folder is one of the search


def prepare_winner(folder: Path, bond: Bond, settings: Settings) -> Prepared:
    """The model of the best recipe; one that this search has begun before is replaced.

    Raises MergeGraphError if something else is in the way.
    """
    with Journal(folder, bond) as journal:
        is_own = journal.knows(*_FACT)
        prepared = prepare_own(folder / BEST, folder / MODEL, settings, is_own=is_own)
        if not is_own:
            journal.note(*_FACT, "begun")
    return prepared


def prepare_own(recipe: Path, out: Path, settings: Settings, *, is_own: bool) -> Prepared:
    """A recipe to be run; what is in its way is replaced, if it is this search's own."""
    try:
        return prepare([recipe], out=out, settings=settings)
    except MergeGraphError:
        if not is_own:
            raise
        return prepare([recipe], out=out, settings=settings, restart=True)
