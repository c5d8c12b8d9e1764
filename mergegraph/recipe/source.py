"""YAML text as plain data that remembers the line and column of everything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from mergegraph.errors import MergeGraphError, Problem

Path = tuple[str | int, ...]

_MOST_NODES = 20_000  # a recipe has some hundreds; aliases of aliases have billions
_DEEPEST = 50
_LONGEST_NUMBER = 20  # digits of 2 ** 64
_PREFIX = "tag:yaml.org,2002:"
_INT = r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+"
_KINDS = {
    "bool": ("tTfF", r"true|True|TRUE|false|False|FALSE"),
    "null": ("~nN", r"~|null|Null|NULL|"),
    "int": ("-+0123456789", _INT),
    "float": (
        "-+0123456789.",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    ),
    "merge": ("<", r"<<"),
}
UNPRINTABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass
class Document:
    """One YAML document: its data, and where each key and value stands."""

    file: str
    data: Any
    keys: dict[Path, str] = field(default_factory=dict)
    values: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path, *, key: bool = False) -> str:
        """`file:line:column` of a value, of its key, or else of what holds it."""
        table = self.keys if key and path in self.keys else self.values
        while path and path not in table:
            path, table = path[:-1], self.values
        return table.get(path, self.file)

    def set(self, steps: Sequence[str], value: Any, place: str) -> None:
        """Put a value where words lead from outside the file, into lists by numbers.

        Raises KeyError, or another error of what is looked into, if there is no such place.
        """
        holder: Any = self.data
        path: Path = ()
        for word in steps[:-1]:
            step = _step(holder, word)
            path = (*path, step)
            if isinstance(holder, dict) and holder.get(step) is None:
                holder[step] = {}
                self.keys[path] = self.values[path] = place
            holder = holder[step]
        last = _step(holder, steps[-1])
        holder[last] = value
        path = (*path, last)
        for table in (self.keys, self.values):
            for known in [each for each in table if each[: len(path)] == path]:
                del table[known]
            table[path] = place


def _step(holder: Any, word: str) -> str | int:
    """A word as what holds something is looked into."""
    return int(word) if isinstance(holder, list) and word.isdecimal() else word


class _TooLargeError(Exception):
    """More nodes than a recipe has, or brackets in brackets, from a line on."""


class _Loader(yaml.SafeLoader):
    """YAML with the numbers and words of version 1.2: `1e-3` is a number, `no` a word."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as pyyaml has it
    count = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node, which is not looked at if there were very many before it."""
        self.count += 1
        if self.count > _MOST_NODES:
            raise _TooLargeError(self.line + 1)
        return super().compose_node(parent, index)

    def fetch_flow_collection_start(self, token: Any) -> None:
        """A bracket: for those in very many others the scanner would look ever further back."""
        if self.flow_level > _DEEPEST:
            raise _TooLargeError(self.line + 1)
        super().fetch_flow_collection_start(token)


for _kind, (_first, _pattern) in _KINDS.items():
    _letters = [*_first, ""] if _kind == "null" else list(_first)
    _Loader.add_implicit_resolver(_PREFIX + _kind, re.compile(rf"^(?:{_pattern})$"), _letters)


def read_documents(file: str, text: str) -> list[Document]:
    """Every document of a YAML text that holds something; raises MergeGraphError if it is none."""
    made = [_Reader(file).document(node) for node in nodes_of(file, text)]
    return [each for each in made if each.data is not None]


def data_of(file: str, node: Any) -> Any:
    """What a node holds, as plain data."""
    return _Reader(file).value(node, ())


def nodes_of(file: str, text: str) -> list[Any]:
    """The nodes of every document, with their marks; raises MergeGraphError if it is no YAML."""
    try:
        return [each for each in yaml.compose_all(text, Loader=_Loader) if each is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise MergeGraphError(f"{place}: not YAML: {error.problem or error}") from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = f"{file}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        letter = text[error.position : error.position + 1]
        raise MergeGraphError(f"{place}: not YAML: {letter!r} may not stand here") from error
    except RecursionError as error:
        raise MergeGraphError(f"{file}: too deeply nested for a recipe") from error
    except _TooLargeError as error:
        fact = "too large or too deeply nested for a recipe"
        raise MergeGraphError(f"{file}:{error}: {fact}") from error


@dataclass(frozen=True)
class Alias:
    """An alias where it stands, and where the text begins that its anchor names."""

    name: str
    start: int
    end: int
    place: str
    anchored: int


def aliases_of(file: str, text: str) -> list[Alias]:
    """The aliases of a YAML text that was read before, in order."""
    found: list[Alias] = []
    anchors: dict[str, int] = {}
    events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
    for event in events:
        mark, end, name = event.start_mark, event.end_mark, _anchor(event)
        if isinstance(event, yaml.AliasEvent):
            place = f"{file}:{mark.line + 1}:{mark.column + 1}"
            found.append(Alias(name, mark.index, end.index, place, anchors[name]))
        elif name:
            anchors[name] = mark.index
    return found


def _anchor(event: Any) -> str:
    """The name of the anchor that an event sets or uses."""
    return getattr(event, "anchor", None) or ""


class _Reader:
    """Turns one node tree into a Document."""

    def __init__(self, file: str) -> None:
        self.made = Document(file, None)
        self.count = 0

    def document(self, node: yaml.Node) -> Document:
        self.made.data = self.value(node, ())
        return self.made

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.counted(node, path)
        self.made.values[path] = self.at(node)
        if isinstance(node, yaml.MappingNode):
            self.check_tag(node, "map")
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self.check_tag(node, "seq")
            return [self.value(each, (*path, i)) for i, each in enumerate(node.value)]
        return self.scalar(node)

    def counted(self, node: yaml.Node, path: Path) -> None:
        self.count += 1
        if self.count > _MOST_NODES or len(path) > _DEEPEST:
            raise MergeGraphError(f"{self.at(node)}: too large or too deeply nested for a recipe")

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value, merged in self.pairs(node, path):
            place = (*path, key.value)
            if key.value not in found:
                self.made.keys[place] = self.at(key)
                found[key.value] = self.value(value, place)
            elif not merged:
                fact = f"'{key.value}' is given twice"
                self.made.problems.append(Problem(self.at(key), fact))
        return found

    def pairs(
        self, node: yaml.MappingNode, path: Path
    ) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
        """Keys and values, those of `<<` last: what is there already stands above them."""
        self.counted(node, path)
        merges = []
        for key, value in node.value:
            if key.tag == _PREFIX + "merge":
                merges.append(value)
            elif isinstance(key, yaml.ScalarNode):
                self.check_text(key)
                yield key, value, False
            else:
                self.made.problems.append(Problem(self.at(key), "a key must be a word"))
        for value in merges:
            for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(each, yaml.MappingNode):
                    for key, inner, _ in self.pairs(each, (*path, "<<")):
                        yield key, inner, True
                else:
                    self.made.problems.append(Problem(self.at(value), "'<<' must name a mapping"))

    def scalar(self, node: yaml.Node) -> Any:
        text: str = node.value
        kind = node.tag.removeprefix(_PREFIX)
        if kind in ("str", "merge"):
            self.check_text(node)
            return text
        if kind not in _KINDS or not re.fullmatch(_KINDS[kind][1], text):
            self.check_tag(node, "str")
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int" and len(text) <= _LONGEST_NUMBER:
            return int(text, 0)
        if kind == "int":
            return float("inf")  # no parameter takes it
        return float(re.sub(r"\.(?=[a-zA-Z])", "", text)) if kind == "float" else None

    def check_tag(self, node: yaml.Node, kind: str) -> None:
        if node.tag != _PREFIX + kind:
            tag = node.tag.replace(_PREFIX, "!!")
            raise MergeGraphError(f"{self.at(node)}: the tag {tag} has no meaning here")

    def check_text(self, node: yaml.Node) -> None:
        if found := UNPRINTABLE.search(node.value):
            fact = f"holds {found.group()!r}, which cannot be printed"
            raise MergeGraphError(f"{self.at(node)}: {fact}")

    def at(self, node: yaml.Node) -> str:
        mark = node.start_mark
        return f"{self.made.file}:{mark.line + 1}:{mark.column + 1}"
