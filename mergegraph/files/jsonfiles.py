"""JSON files, read without trust, and JSON that can be shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.trees import LARGEST_DOCUMENT, LocalTree, Tree, read_document

LARGEST_CONFIG = 8 * 2**20  # the largest have one or two, with lists of labels
_DEEPEST = 100  # a config has five levels
_LONGEST_NUMBER = 64  # digits; model_max_length has 31 where it is to say endless
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if there is no file."""
    if not path.is_file():
        return {}
    return json_in(LocalTree(path.parent, str(path)), path.name, str(path))


def json_in(tree: Tree, name: str, place: str, *, most: int = LARGEST_DOCUMENT) -> dict[str, Any]:
    """The JSON object in a tree's file; `place` is what messages call it."""
    return parse_json(read_document(tree, name, most=most), place)


def parse_json(data: bytes | str, place: str) -> dict[str, Any]:
    """The JSON object that a file's content is; raises MergeGraphError if it is none.

    A key that comes twice must come with one value, whole numbers are not too long for any use, and
    what is read can be written as text again.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        found = json.loads(text, object_pairs_hook=_agreeing, parse_int=_whole)
    except RecursionError as error:
        raise MergeGraphError(f"{place}: not JSON: nested too deeply") from error
    except ValueError as error:
        raise MergeGraphError(f"{place}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise MergeGraphError(f"{place}: not a JSON object")
    if _is_deep(found, _DEEPEST):
        raise MergeGraphError(f"{place}: nested too deeply")
    if _SURROGATE.search(text) and not _is_text(found):
        raise MergeGraphError(f"{place}: holds half of a surrogate pair, which is no text")
    return found


def json_text(value: Any, *, indent: int) -> str:
    """JSON for people, without characters that would steer a terminal."""
    lines = json.dumps(value, indent=indent, ensure_ascii=False).split("\n")
    return "\n".join(line if line.isprintable() else _shown(line) for line in lines)


def _agreeing(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if value != found[key]:
                raise ValueError(f"'{key}' appears twice, with two values")
    return found


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"{digits[:_LONGEST_NUMBER]}... is longer than any number of use")
    return int(digits)


def _is_deep(value: Any, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left == 0 or any(_is_deep(each, left - 1) for each in inner)


def _is_text(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(line: str) -> str:
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)
