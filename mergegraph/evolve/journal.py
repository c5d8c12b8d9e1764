"""The journal of a search: what was asked, and what came of it, as it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mergegraph.evaluators import Scores
from mergegraph.search import journal as search

_TRIAL = "trial"
_MODELS = ("parents", "reported", "reported_parents")


@dataclass(frozen=True)
class Trial:
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

    trials: dict[int, Trial] = field(default_factory=dict)
    parents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    reported: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    reported_parents: dict[str, Mapping[str, Any]] = field(default_factory=dict)


class Journal:
    """The journal in a folder, which this process alone writes to from `open` to `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known = Known()
        self._facts: search.Journal | None = None

    def open(self, bond: search.Bond, *, restart: bool) -> None:
        """Take the journal, and read what is there of this search."""
        self._facts = search.Journal(self.folder, bond, restart=restart).open()
        self.known = Known()
        for key, found in self._facts.facts(_TRIAL):
            trial = Trial(**{**found, "point": tuple(found["point"])})
            self.known.trials[int(key)] = trial
        for what in _MODELS:
            self._of(what).update(self._facts.facts(what))

    def _of(self, what: str) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = getattr(self.known, what)
        return found

    def _note(self, kind: str, key: str, value: Any) -> None:
        assert self._facts is not None, "nothing is noted in a journal that is not open"
        self._facts.note(kind, key, value)

    @property
    def is_open(self) -> bool:
        """Whether this process has it."""
        return self._facts is not None and self._facts.is_open

    @property
    def is_new(self) -> bool:
        """Whether nothing was known when it was opened."""
        return self._facts is not None and not self._facts.had

    def trial(self, trial: Trial) -> None:
        """Write what came of a trial."""
        self.known.trials[trial.number] = trial
        self._note(_TRIAL, str(trial.number), asdict(trial))

    def outcome(self, what: str, name: str, found: Mapping[str, Any]) -> None:
        """Write what came of another model: of `parents`, `reported` or `reported_parents`."""
        self._of(what)[name] = found
        self._note(what, name, dict(found))

    def close(self) -> None:
        """Let others have it."""
        if self._facts is not None:
            self._facts.close()
