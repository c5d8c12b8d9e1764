"""Settings: values of a recipe changed from outside, `KEY=VALUE` or `STAGE:KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.recipe.source import UNPRINTABLE, Document, read_documents

OPTION = "--set"


def apply_setting(setting: str, documents: Sequence[Document]) -> None:
    """Change a value of the result's document, or of a named stage's."""
    key, given, text = setting.partition("=")
    stage, named, dotted = key.rpartition(":")
    steps = dotted.split(".")
    if not given or not all(steps):
        remedy = "write KEY=VALUE, or STAGE:KEY=VALUE for a named stage"
        raise MergeGraphError(f"{OPTION} {setting}: {remedy}")
    if UNPRINTABLE.search(setting):
        raise MergeGraphError(f"{OPTION} {setting}: holds what cannot be printed")
    target = _target(documents, stage if named else None)
    if target is None:
        raise MergeGraphError(f"{OPTION} {setting}: no stage is named '{stage}'")
    value = _value(setting, text)
    try:
        target.set(steps, value, f"{OPTION} {setting}")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise MergeGraphError(f"{OPTION} {setting}: the recipe has no such place") from error


def _target(documents: Sequence[Document], stage: str | None) -> Document | None:
    """The document of a stage; of the result if None, which is the last where all are named."""
    names = [each.data.get("name") if isinstance(each.data, dict) else None for each in documents]
    if stage in names:
        return documents[names.index(stage)]
    return documents[-1] if stage is None else None


def _value(setting: str, text: str) -> Any:
    """A value on the command line, read as YAML."""
    documents = read_documents(f"{OPTION} {setting}", text)
    if any(each.problems for each in documents) or len(documents) > 1:
        raise MergeGraphError(f"{OPTION} {setting}: '{text}' is not one value")
    return documents[0].data if documents else None
