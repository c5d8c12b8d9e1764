"""Checking documents against the grammar: whatever does not fit is found in one go."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from mergegraph.errors import Problem, nearest
from mergegraph.recipe import grammar
from mergegraph.recipe.source import Document, Path
from mergegraph.recipe.values import shown

_NOT_A_WORD = "is not a word"
_FACTS = {
    "string_type": _NOT_A_WORD,
    "string_too_short": "is empty",
    "int_type": "is not a whole number",
    "float_type": "is not a number",
    "list_type": "is not a list",
    "dict_type": "is not a mapping",
    "model_type": "is not a mapping",
    "too_short": "has nothing in it",
    "greater_than_equal": "is not at least {ge}",
    "greater_than": "is not above {gt}",
    "less_than_equal": "is not at most {le}",
    "less_than": "is not below {lt}",
    "finite_number": "is not a finite number",
    "literal_error": "is not one of {expected}",
}
_SOURCE = {"model": "?", "layer_range": [0, 1]}
# what stands in for a part that was reported, so that the rest can be looked at
_STAND_INS: dict[str, Any] = {
    "name": "?",
    "merge_method": "?",
    "model": "?",
    "base_model": "?",
    "layer_range": [0, 1],
    "sources": [_SOURCE],
    "slices": [{"sources": [_SOURCE]}],
    "models": [{"model": "?"}],
    "modules": {"?": {"models": [{"model": "?"}]}},
    "remove": 0,
    "depth_upscaling": {"model": "?", "remove": 0},
}


class Checked:
    """A document by the grammar. It is whole if nothing had to stand in for what did not fit."""

    def __init__(self, document: Document, is_parameter: Callable[[str], bool]) -> None:
        self.document = document
        self.is_parameter = is_parameter
        self.problems: list[Problem] = []
        self.is_whole = True
        self.entry = self.validated()

    def validated(self) -> grammar.DocumentEntry | None:
        """The document as it is, or with stand-ins; None if there is nothing to look at."""
        if not isinstance(self.document.data, dict):
            self.wrong((), "a recipe is a mapping: merge_method, models, ...")
            self.is_whole = False
            return None
        data = copy.deepcopy(self.document.data)
        try:
            return grammar.DocumentEntry.model_validate(data)
        except ValidationError as error:
            for each in error.errors():
                self.report(each)
                self.mend(data, each)
        try:
            return grammar.DocumentEntry.model_validate(data)
        except ValidationError:
            self.is_whole = False
            return None

    def report(self, error: Mapping[str, Any]) -> None:
        """Tell of one misfit."""
        path: Path = error["loc"]
        key = str(next((step for step in reversed(path) if isinstance(step, str)), ""))
        if error["type"] == "extra_forbidden":
            self.wrong(path, f"unknown key '{key}'{self.remedy(path)}", key=True)
        elif error["type"] == "missing":
            self.wrong(path[:-1], f"'{key}' is missing")
        elif "layer_range" in path:
            self.wrong(path, "layer_range is not two whole numbers, [first, one after the last]")
        elif error["type"] == "value_error":
            self.wrong(path, f"{key} {error['ctx']['error']}")
        else:
            self.wrong(path, fact_of(key, error))

    def remedy(self, path: Path) -> str:
        """What was probably meant by an unknown key."""
        word = str(path[-1])
        if self.is_parameter(word):
            return "; it is a parameter, put it under 'parameters'"
        holders = [grammar.ENTRIES[str(step)] for step in path[:-1] if step in grammar.ENTRIES]
        return nearest(word, (holders[-1] if holders else grammar.DocumentEntry).model_fields)

    def mend(self, data: Any, error: Mapping[str, Any]) -> None:
        """Take out what does not fit, or put a stand-in where there must be something."""
        path: Path = error["loc"]
        if "layer_range" in path[3:]:  # that of a source, not a module of this name
            path = path[: path.index("layer_range", 3) + 1]
        for step in path[:-1]:
            data = data[step]
        holder, last = path[-2] if len(path) > 1 else None, path[-1]
        if error["type"] == "extra_forbidden":
            del data[last]
        elif last in _STAND_INS and holder != "modules":
            self.is_whole = False
            data[last] = copy.deepcopy(_STAND_INS[str(last)])
        elif holder in _STAND_INS:
            self.is_whole = False
            stand_ins = _STAND_INS[str(holder)]
            first = stand_ins["?"] if isinstance(stand_ins, dict) else stand_ins[0]
            data[last] = copy.deepcopy(first)
        else:
            del data[last]

    def wrong(self, path: Path, fact: str, *, key: bool = False) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.document.place(path, key=key), fact))


def fact_of(key: str, error: Mapping[str, Any]) -> str:
    """What is wrong with the value of a key, by what pydantic says of it."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    words = {name: _words(context[name]) for name in context}
    fact = _FACTS[kind].format(**words) if kind in _FACTS else f"is not right: {error['msg']}"
    if value is None or value in ("", [], {}):
        return f"{key} is empty"
    if kind == "literal_error" and isinstance(value, str):
        fact += nearest(value, _expected(context), only_close=True)
    if kind == "string_type" and isinstance(value, int | float):
        fact += ", put it in quotes"
    return f"{key} {fact}" if isinstance(value, dict | list) else f"{key} {shown(value)} {fact}"


def _expected(context: Mapping[str, Any]) -> list[str]:
    return str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")


def _words(value: Any) -> str:
    return str(value).replace("'", "")
