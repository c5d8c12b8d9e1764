"""How much longer a tokenizer may make a text before it cuts it: one made to harm has no bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.vocabulary.reading import JSON

_PARTS = ("normalizer", "pre_tokenizer", "decoder")
_MOST = 64  # times as long; those in use make three letters of one
_LONGEST = 2**20  # letters of a table of replacements, of which there are few


def check_growth(data: Mapping[str, Any], what: str) -> None:
    """Raise MergeGraphError if a tokenizer may make texts far longer than they are."""
    growth = tables = 1
    for each in _steps([data.get(part) for part in _PARTS]):
        growth *= _growth(each)
        tables += len(str(each.get("precompiled_charsmap") or ""))
    if growth > _MOST or tables > _LONGEST:
        fact = f"{JSON} may make a text more than {_MOST} times as long before it is cut"
        raise MergeGraphError(f"{what}: {fact}; set tokenizer_source to base, or to another model")


def _steps(value: Any) -> Iterator[Mapping[str, Any]]:
    """Everything in a tokenizer that has a type."""
    if isinstance(value, Mapping):
        yield value
    inner = value.values() if isinstance(value, Mapping) else value
    for each in inner if isinstance(value, Mapping | list) else ():
        yield from _steps(each)


def _growth(step: Mapping[str, Any]) -> int:
    """How many letters a step may make of one."""
    if step.get("type") == "Prepend":
        return 1 + len(str(step.get("prepend"))) // _MOST
    if step.get("type") != "Replace":
        return 1
    pattern, content = step.get("pattern"), str(step.get("content"))
    text = pattern.get("String") if isinstance(pattern, Mapping) else None
    if isinstance(text, str) and text:
        return -(-len(content) // len(text)) or 1
    return 1 + len(content)  # of a regular expression, which may match what is empty
