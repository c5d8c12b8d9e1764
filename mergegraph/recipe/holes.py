"""Holes in recipes, `{search: ...}`, which a search fills before there is anything to merge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mergegraph.errors import Problem
from mergegraph.recipe.source import Document, Path

HOLE = "search"
NAMED = ("modules", "tokens")  # whose keys are names, be it this word
_NAMED_PATHS = tuple((each,) for each in NAMED)


def holes_of(document: Document) -> Iterator[Problem]:
    """The holes of a document, as problems of who wants to merge it."""
    for path in _paths(document.data, ()):
        fact = "a hole stands here, which mergegraph evolve fills; a merge needs a value"
        yield Problem(document.place((*path, HOLE), key=True), fact)


def _paths(data: Any, path: Path) -> Iterator[Path]:
    """Where the outermost holes stand."""
    if isinstance(data, dict):
        if HOLE in data and path[-1:] not in _NAMED_PATHS:
            yield path
            return
        for key, value in data.items():
            yield from _paths(value, (*path, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _paths(value, (*path, number))
