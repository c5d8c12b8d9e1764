"""What was measured: every run of every program, kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.process import Usage, median_usage


@dataclass(frozen=True)
class Series:
    """The runs of one program of one row; `failure` says why there are no more."""

    row: str
    program: str
    usages: tuple[Usage, ...] = ()
    failure: str | None = None


@dataclass(frozen=True)
class Results:
    """All series of one run of the benchmarks, and what they were made with and on."""

    date: str
    settings: Mapping[str, str]
    machine: Mapping[str, str]
    series: tuple[Series, ...]

    @property
    def medians(self) -> dict[tuple[str, str], Usage]:
        """The median of each series that was not cut short, by row and program."""
        return {
            (each.row, each.program): median_usage(each.usages)
            for each in self.series
            if each.usages and each.failure is None
        }


def write_results(path: Path, results: Results) -> None:
    """Keep results for later."""
    path.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")


def read_results(path: Path) -> Results:
    """Results as they were kept."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        told["date"], told["settings"], told["machine"], tuple(map(_series, told["series"]))
    )


def _series(told: Mapping[str, Any]) -> Series:
    usages = tuple(Usage(**each) for each in told["usages"])
    return Series(told["row"], told["program"], usages, told["failure"])
