"""The journal of a search: what was asked, and what came of it, as it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.evaluators import Scores
from mergegraph.lines import Lines, read_lines

FILE = "search.journal"
Bond = Mapping[str, str]  # a digest of each thing that the scores and the way depend on


@dataclass(frozen=True)
class Entry:
    """A trial: a point, and what came of the recipe there.

    `digest` is of the recipe's text, `key` of its result; `repeats` is the trial that had the same
    before.
    """

    number: int
    generation: int
    point: tuple[float | int, ...]
    genes: Mapping[str, Any]
    digest: str
    scores: Scores | None
    problem: str | None
    key: str = ""
    repeats: int | None = None
    seconds: float = 0.0


@dataclass
class Known:
    """What a journal tells."""

    trials: dict[int, Entry] = field(default_factory=dict)
    parents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    reported: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    reported_parents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    model: str | None = None  # the digest of the recipe that a model was begun of


class Journal:
    """The journal in a folder, which this process alone writes to from `open` to `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known = Known()
        self._lines = Lines(folder / FILE)

    def check(self, bond: Bond, *, restart: bool) -> None:
        """Raise MergeGraphError if there is something in the folder that may not be continued."""
        found = [line for line, _ in read_lines(self.folder / FILE)]
        if restart:
            return
        if not found and self.folder.exists() and (self.folder / FILE).exists() is False:
            others = sorted(each.name for each in self.folder.iterdir())
            if others:
                fact = f"holds {others[0]}, and no search"
                raise MergeGraphError(f"{self.folder}: {fact}; choose another --out")
        before = dict(found[0].get("bond", {})) if found else {}
        changed = [key for key in {**bond, **before} if before.get(key) != bond.get(key)]
        if found and changed:
            fact = f"holds a search for which {', '.join(changed)} differed"
            remedy = "choose another --out, or begin anew with --restart"
            raise MergeGraphError(f"{self.folder}: {fact}; {remedy}")

    def open(self, bond: Bond, *, restart: bool) -> None:
        """Take the journal, and read what is there of this search."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._lines.open():
            fact = "another process is at work on this search"
            raise MergeGraphError(f"{self.folder}: {fact}; wait for it")
        self.check(bond, restart=restart)
        nbytes = 0
        for line, end in read_lines(self._lines.path) if not restart else ():
            nbytes = end
            self._note(line)
        self._lines.cut(nbytes)
        if not nbytes:
            self._lines.write({"bond": dict(bond)})

    def _note(self, line: Mapping[str, Any]) -> None:
        match line:
            case {"trial": found}:
                entry = Entry(**{**found, "point": tuple(found["point"])})
                self.known.trials[entry.number] = entry
            case {"model": str(digest)}:
                self.known.model = digest
            case {"of": str(what), "name": str(name), "outcome": found}:
                self._of(what)[name] = found

    def _of(self, what: str) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = getattr(self.known, what)
        return found

    @property
    def is_open(self) -> bool:
        """Whether this process has it."""
        return self._lines.is_open

    def trial(self, entry: Entry) -> None:
        """Write what came of a trial."""
        self.known.trials[entry.number] = entry
        self._lines.write({"trial": asdict(entry)})

    def outcome(self, what: str, name: str, found: Mapping[str, Any]) -> None:
        """Write what came of another model: of `parents`, `reported` or `reported_parents`."""
        self._of(what)[name] = found
        self._lines.write({"of": what, "name": name, "outcome": dict(found)})

    def model(self, digest: str) -> None:
        """Write of which recipe a model is made next."""
        self.known.model = digest
        self._lines.write({"model": digest})

    def close(self) -> None:
        """Let others have it."""
        self._lines.close()
