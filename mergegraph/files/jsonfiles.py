"""JSON files, read without trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError

_DEEPEST = 100  # a config has five levels


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if there is no file."""
    if not path.is_file():
        return {}
    try:
        return parse_json(path.read_bytes(), str(path))
    except OSError as error:
        raise MergeGraphError(f"{path}: cannot be read: {error.strerror}") from error


def parse_json(data: bytes, place: str) -> dict[str, Any]:
    """The JSON object that a file's bytes are; raises MergeGraphError if they are none."""
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MergeGraphError(f"{place}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise MergeGraphError(f"{place}: not a JSON object")
    if _is_deep(found, _DEEPEST):
        raise MergeGraphError(f"{place}: nested too deeply")
    return found


def _is_deep(value: Any, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left == 0 or any(_is_deep(each, left - 1) for each in inner)
