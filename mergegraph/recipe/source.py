"""YAML text as plain data that remembers the line and column of everything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from mergegraph.errors import MergeGraphError, Problem

Path = tuple[str | int, ...]

_MOST_NODES = 100_000  # a recipe has some hundreds; aliases of aliases have billions
_DEEPEST = 50
_PREFIX = "tag:yaml.org,2002:"


@dataclass
class Document:
    """One YAML document: its data, and where each key and value stands."""

    file: str
    data: Any
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path, *, key: bool = False) -> str:
        """`file:line:column` of a value, of its key, or else of what holds it."""
        table = self.keys if key and path in self.keys else self.values
        while path and path not in table:
            path, table = path[:-1], self.values
        line, column = table.get(path, (1, 1))
        return f"{self.file}:{line}:{column}"

    def set(self, path: Path, value: Any) -> None:
        """Put a value at a path, from outside the file; raises KeyError if there is no place."""
        holder = self.data
        for step in path[:-1]:
            holder = holder.setdefault(step, {}) if isinstance(holder, dict) else holder[step]
        holder[path[-1]] = value


class _Loader(yaml.SafeLoader):
    """YAML with the numbers and words of version 1.2: `1e-3` is a number, `no` a word."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as pyyaml has it


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(_PREFIX + _tag, re.compile(rf"^(?:{_pattern})$"), list(_first))


def read_documents(file: str, text: str) -> list[Document]:
    """Every document of a YAML text; raises MergeGraphError if it is not YAML."""
    try:
        nodes = [node for node in yaml.compose_all(text, Loader=_Loader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise MergeGraphError(f"{place}: not YAML: {error.problem or error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise MergeGraphError(f"{file}: not YAML: {error}") from error
    return [_Reader(file).document(node) for node in nodes]


def scalar(text: str) -> Any:
    """The value of a word on the command line, read as YAML."""
    return read_documents("--set", text)[0].data if text.strip() else None


class _Reader:
    """Turns one node tree into a Document."""

    def __init__(self, file: str) -> None:
        self.made = Document(file, None)
        self.count = 0

    def document(self, node: yaml.Node) -> Document:
        self.made.data = self.value(node, ())
        return self.made

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.count += 1
        if self.count > _MOST_NODES or len(path) > _DEEPEST:
            raise MergeGraphError(f"{self.made.file}: too large or too deeply nested for a recipe")
        self.made.values[path] = _position(node)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, (*path, i)) for i, each in enumerate(node.value)]
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        own = {key.value for key, _ in node.value}
        for key, value, merged in self.pairs(node, path):
            if merged and key.value in own:
                continue
            place = (*path, key.value)
            if key.value in found:
                fact = f"'{key.value}' is given twice"
                self.made.problems.append(Problem(self.at(key), fact))
                continue
            self.made.keys[place] = _position(key)
            found[key.value] = self.value(value, place)
        return found

    def pairs(
        self, node: yaml.MappingNode, path: Path
    ) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
        """Keys and values, those of `<<` last."""
        merges = []
        for key, value in node.value:
            if key.tag == _PREFIX + "merge":
                merges.append(value)
            elif not isinstance(key, yaml.ScalarNode):
                self.made.problems.append(Problem(self.at(key), "a key must be a word"))
            else:
                yield key, value, False
        for value in merges:
            for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if len(path) > _DEEPEST or not isinstance(each, yaml.MappingNode):
                    self.made.problems.append(Problem(self.at(value), "'<<' must name a mapping"))
                    continue
                for key, inner, _ in self.pairs(each, (*path, "<<")):
                    yield key, inner, True

    def scalar(self, node: yaml.Node, path: Path) -> Any:
        kind = node.tag.removeprefix(_PREFIX)
        text: str = node.value
        if kind == "bool":
            return text.lower() == "true"
        if kind == "null":
            return None
        if kind == "int" and re.fullmatch(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if kind == "float":
            return float(re.sub(r"\.(?=[a-zA-Z])", "", text))
        if kind not in ("str", "merge"):
            place = self.made.place(path)
            self.made.problems.append(Problem(place, f"'{node.tag}' is not a kind of value"))
        return text

    def at(self, node: yaml.Node) -> str:
        line, column = _position(node)
        return f"{self.made.file}:{line}:{column}"


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
