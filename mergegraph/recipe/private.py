"""What a recipe holds that nobody else may read: refused in values, left out of what is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mergegraph.errors import Problem
from mergegraph.recipe.source import Document, Path
from mergegraph.secrecy import without_secrets

_WHAT = "what looks like a token, a password or a signed address"


def secret_values(document: Document) -> Iterator[Problem]:
    """Values that are secret: results would hold them, and tell them."""
    for path, value in _words(document.data, ()):
        if without_secrets(value) != value:
            fact = f"holds {_WHAT}; results tell their recipe, so take it out and have it revoked"
            yield Problem(document.place(path), fact)


def secret_lines(file: str, text: str) -> Iterator[str]:
    """Notes of the lines, comments as a rule, that results do not tell as they are."""
    if without_secrets(text) == text:
        return
    for number, line in enumerate(text.splitlines(), 1):
        if (told := without_secrets(line)) != line:
            fact = f"results will have '{told.strip()}'; take it out and have it revoked"
            yield f"{file}:{number}: holds {_WHAT}: {fact}"


def _words(data: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Every word of a document, keys among them, with the place of what holds it."""
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield path, str(key)
            yield from _words(value, (*path, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _words(value, (*path, number))
