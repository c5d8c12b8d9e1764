"""The log of a run: what it notes on its way, in the journal of the first result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mergegraph.plans import Output
from mergegraph.running.milestones import Milestone
from mergegraph.writing.journal import milestone_line, values_line
from mergegraph.writing.result import Result


class RunLog:
    """Keeps values and milestones; a later run that makes another of the results lacks them."""

    def __init__(self, outputs: Sequence[Output], results: Mapping[Path, Result]) -> None:
        self._outputs = outputs
        self._results = results
        self._first = next(iter(results.values()), None)

    def values(self, values: Mapping[str, Any]) -> None:
        """Keep small values that passes ended in, by task key."""
        if self._first is not None:
            self._first.note(values_line(values))

    def milestone(self, name: str, milestone: Milestone) -> None:
        """Keep how far a pass is."""
        if self._first is not None:
            self._first.note(milestone_line(name, milestone))

    def digest(self, output: int, entries: int) -> Any:
        """The SHA-256, to be gone on with, of so many entries that an earlier run wrote."""
        found = self._outputs[output]
        return self._results[found.directory].digest(found, entries)
