"""The journal of a search: what is known already, so that nothing is found out twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.lines import Line, Lines, read_lines

Bond = Mapping[str, str]  # what a search is of, by what it is called for people

_FILE = "journal"
_BOND = "search"


class Journal:
    """Facts by kind and key, kept in a folder: a context manager, for one process at a time.

    Those of an earlier run are there if it was of the same search; else it is refused, or, with
    `restart`, forgotten.
    """

    def __init__(self, folder: Path, bond: Bond, *, restart: bool = False) -> None:
        self._folder = folder
        self._bond = bond
        self._restart = restart
        self._lines = Lines(folder / _FILE)
        self._facts: dict[tuple[str, str], Any] = {}
        self.had: int = 0

    def __enter__(self) -> Journal:
        check_bond(self._folder, self._bond, restart=self._restart)
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._lines.open():
            raise MergeGraphError(f"{self._folder}: another process is at work here")
        lines = list(read_lines(self._lines.path))
        if self._restart or not lines:
            self._lines.cut(0)
            self._lines.write({_BOND: dict(self._bond)})
            return self
        self._lines.cut(lines[-1][1])
        for line, _ in lines[1:]:
            self._facts[line["kind"], line["key"]] = line["value"]
        self.had = len(self._facts)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.close()

    def knows(self, kind: str, key: str) -> bool:
        """Whether a fact is there."""
        return (kind, key) in self._facts

    def facts(self, kind: str) -> Iterator[Any]:
        """All facts of a kind, in the order in which they were found."""
        yield from (value for (own, _), value in self._facts.items() if own == kind)

    def fact(self, kind: str, key: str) -> Any:
        """A fact that is there."""
        return self._facts[kind, key]

    def note(self, kind: str, key: str, value: Any) -> None:
        """Keep a fact for good."""
        self._facts[kind, key] = value
        self._lines.write({"kind": kind, "key": key, "value": value})


def check_bond(folder: Path, bond: Bond, *, restart: bool) -> None:
    """Refuse a folder that belongs to another search; says what differs."""
    if folder.exists() and not folder.is_dir():
        raise MergeGraphError(f"{folder}: is a file; give the folder of the search")
    first = next(read_lines(folder / _FILE), None)
    if first is None or restart:
        return
    before = _bond_of(first[0])
    told = [
        _difference(k, before, bond) for k in {**bond, **before} if before.get(k) != bond.get(k)
    ]
    if told:
        fact = f"{folder}: is the folder of another search: {'; '.join(told)}"
        raise MergeGraphError(f"{fact}; give another --out, or begin anew with --restart")


def _bond_of(line: Line) -> dict[str, str]:
    found = line.get(_BOND)
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _difference(key: str, before: Bond, now: Bond) -> str:
    first, second = before.get(key), now.get(key)
    if key.startswith("the content of"):
        return f"{key} has changed" if first and second else f"{key} is {_given(second)}"
    return f"{key} was {_given(first)} and is {_given(second)}"


def _given(value: str | None) -> str:
    return "not given" if value is None else value
