"""Figures: what the parts of the campaign came to, kept in a file from one run to the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.table import Table


@dataclass(frozen=True)
class Figures:
    """What one part came to: a sentence, a table, when it was and for how long."""

    sentence: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    date: str
    minutes: float
    seed: int

    def table(self) -> Table:
        """The table, its first column in words."""
        return Table(self.heads, self.lines, words=1)


def read_figures(path: Path) -> dict[str, Figures]:
    """What is kept of all parts, by their names."""
    if not path.exists():
        return {}
    told = json.loads(path.read_text(encoding="utf-8"))
    return {name: _figures(each) for name, each in told.items()}


def write_figures(path: Path, figures: Mapping[str, Figures]) -> None:
    """Keep what the parts came to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {name: asdict(each) for name, each in figures.items()}
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _figures(told: Mapping[str, object]) -> Figures:
    values = dict(told)
    values["heads"] = tuple(values["heads"])  # type: ignore[arg-type]
    values["lines"] = tuple(tuple(each) for each in values["lines"])  # type: ignore[attr-defined]
    return Figures(**values)  # type: ignore[arg-type]
