"""The journal of a search: what is known already, so that nothing is found out twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.lines import Line, Lines, damage_of, read_lines

Bond = Mapping[str, str]  # what a search is of, by what it is called for people

FILE = "search.journal"
_BOND = "search"
_DIGEST = "sha256:"


class Journal:
    """Facts by kind and key, kept in a folder: a context manager, for one process at a time.

    Those of an earlier run are there if it was of the same search; else it is refused, or, with
    `restart`, forgotten.
    """

    def __init__(self, folder: Path, bond: Bond, *, restart: bool = False) -> None:
        self._folder = folder
        self._bond = bond
        self._restart = restart
        self._lines = Lines(folder / FILE)
        self._facts: dict[tuple[str, str], Any] = {}
        self.had: int = 0

    def open(self) -> Journal:
        """Take it, and read what is there of this search; raises MergeGraphError if that fails."""
        check_bond(self._folder, self._bond, restart=self._restart)
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._lines.open():
            fact = "another process is at work on this search; wait for it"
            raise MergeGraphError(f"{self._folder}: {fact}")
        try:
            self._read()
        except BaseException:
            self.close()
            raise
        return self

    def _read(self) -> None:
        """Take over what is there, now that no other process can change it."""
        check_bond(self._folder, self._bond, restart=self._restart)
        lines = list(read_lines(self._lines.path))
        if self._restart or not lines:
            self._lines.cut(0)
            self._lines.write({_BOND: dict(self._bond)})
            return
        self._lines.cut(lines[-1][1])
        for line, _ in lines[1:]:
            self._facts[line["kind"], line["key"]] = line["value"]
        self.had = len(self._facts)

    def close(self) -> None:
        """Let others have it."""
        self._lines.close()

    def __enter__(self) -> Journal:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether this process has it."""
        return self._lines.is_open

    def knows(self, kind: str, key: str) -> bool:
        """Whether a fact is there."""
        return (kind, key) in self._facts

    def facts(self, kind: str) -> Iterator[tuple[str, Any]]:
        """All facts of a kind by their keys, in the order in which they were found."""
        yield from ((key, value) for (own, key), value in self._facts.items() if own == kind)

    def fact(self, kind: str, key: str) -> Any:
        """A fact that is there."""
        return self._facts[kind, key]

    def note(self, kind: str, key: str, value: Any) -> None:
        """Keep a fact for good."""
        self._facts[kind, key] = value
        self._lines.write({"kind": kind, "key": key, "value": value})


def check_bond(folder: Path, bond: Bond, *, restart: bool) -> None:
    """Refuse a folder of something else, and one of another search, with what differs.

    With `restart` there may be another search, and one whose journal is damaged.
    """
    if folder.exists() and not folder.is_dir():
        raise MergeGraphError(f"{folder}: is a file; give the folder of the search")
    _check_foreign(folder)
    if restart:
        return
    _check_damage(folder / FILE)
    first = next(read_lines(folder / FILE), None)
    if first is None:
        return
    before = _bond_of(first[0])
    told = [
        _difference(k, before, bond) for k in {**bond, **before} if before.get(k) != bond.get(k)
    ]
    if told:
        fact = f"{folder}: is the folder of another search: {'; '.join(told)}"
        raise MergeGraphError(f"{fact}; choose another --out, or begin anew with --restart")


def digest_of(*texts: str) -> str:
    """What a bond tells of what is too long, or is nothing for people."""
    return _DIGEST + sha256("\0".join(texts).encode()).hexdigest()[:32]


def _check_foreign(folder: Path) -> None:
    """Refuse a folder in which there is something else than a search."""
    others = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    if others and FILE not in others:
        fact = f"holds {others[0]}, and no search"
        raise MergeGraphError(f"{folder}: {fact}; choose another --out")


def _check_damage(path: Path) -> None:
    """Refuse a journal of which a line is not what was written, for all after it would be lost."""
    if number := damage_of(path):
        fact = f"{path}:{number}: is damaged, so what stands there and after it would be lost"
        remedy = "put a copy of the file back, delete its end from there on to find that out again"
        raise MergeGraphError(f"{fact}; {remedy}, or begin anew with --restart")


def _bond_of(line: Line) -> dict[str, str]:
    found = line.get(_BOND)
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _difference(key: str, before: Bond, now: Bond) -> str:
    first, second = before.get(key), now.get(key)
    if (first or second or "").startswith(_DIGEST):
        return f"{key} has changed" if first and second else f"{key} is {_given(second)}"
    return f"{key} was {_given(first)} and is {_given(second)}"


def _given(value: str | None) -> str:
    return "not given" if value is None else "there" if value.startswith(_DIGEST) else value
