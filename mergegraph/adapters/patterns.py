"""Patterns that files have for names of modules: matched in time that grows with the name alone."""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import SchemaError, SchemaValidator, core_schema

from mergegraph.errors import MergeGraphError

Matches = Callable[[str], bool]


def ending_in(pattern: str) -> Matches:
    """Whether a name ends in what a regular expression matches, from a dot or its start on.

    Raises MergeGraphError for what only engines know that may take forever: looking around, and
    back at what was matched.
    """
    whole = rf"^(?:.*\.)?(?:{pattern})$"
    try:
        schema = core_schema.str_schema(pattern=whole, regex_engine="rust-regex")
        return SchemaValidator(schema).isinstance_python
    except SchemaError as error:
        fact = " ".join(str(error).split()).rpartition("error: ")[2]
        raise MergeGraphError(f"{pattern!r} is no pattern that can be followed ({fact})") from error
