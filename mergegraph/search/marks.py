"""Marks: what tells models from others, so that a search is not continued with other ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mergegraph.errors import MergeGraphError, RunError
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.library import Library
from mergegraph.provenance.fingerprint import fingerprint
from mergegraph.search.journal import digest_of

Marks = Mapping[str, str]


def marks_of(references: Iterable[str], library: Library) -> dict[str, str]:
    """A mark for each model or adapter that is named, found without reading all of it.

    Raises MergeGraphError if one is not there or not sound.
    """
    shelf = library.shelf()

    def parents(reference: str) -> tuple[Checkpoint, ...]:
        try:
            return shelf.model(reference).parents
        except MergeGraphError:
            if not library.is_adapter(reference):
                raise
            return (library.adapter(reference),)

    return {each: digest_of(*map(_fingerprint, parents(each))) for each in references}


def check_unchanged(folder: Path, marks: Marks, library: Library) -> None:
    """Raise RunError if a model is not what it was when a search began: scores are of both then.

    The library has opened nothing yet.
    """
    now = marks_of(marks, library)
    if changed := [name for name, mark in marks.items() if now[name] != mark]:
        fact = f"{', '.join(changed)} changed during the search"
        raise RunError(f"{folder}: {fact}; begin anew with --restart")


def _fingerprint(checkpoint: Checkpoint) -> str:
    headers = checkpoint.headers.items()
    return "\n".join(fingerprint(checkpoint.tree, name, each) for name, each in headers)
