"""Front matter: the YAML at the head of a model card, read without trust and written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.recipe.source import read_documents

CARD = "README.md"
_HEAD = re.compile(
    r"\A\ufeff?---[ \t]*\r?\n(?P<head>.*?)(?:^---[ \t]*\r?$\n?)", re.DOTALL | re.MULTILINE
)
_PLAIN = re.compile(r"[A-Za-z][\w./+-]*")
_WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}


def parse_card(text: str) -> tuple[dict[str, Any], str]:
    """A card's front matter, and the text below it."""
    found = _HEAD.match(text)
    if found is None:
        return {}, text
    body = text[found.end() :]
    try:
        documents = read_documents("card", found["head"])
    except MergeGraphError:
        return {}, body
    data = documents[0].data if documents else None
    return (data if isinstance(data, dict) else {}), body


def words(value: Any) -> tuple[str, ...]:
    """A word or a list of them, as cards have either."""
    found = value if isinstance(value, list) else [value]
    return tuple(each for each in found if isinstance(each, str) and each)


def front_matter(data: Mapping[str, Any]) -> str:
    """Data as front matter, the dashes included; what is empty is left out."""
    lines = ["---"]
    for key, value in data.items():
        if isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
            lines += [f"{key}:", *(f"- {_scalar(each)}" for each in value)] if value else []
        elif value is not None and value != "":
            lines.append(f"{key}: {_scalar(value)}")
    return "\n".join([*lines, "---"]) + "\n"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)  # JSON is YAML
