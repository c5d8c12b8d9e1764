"""Running the rows: round after round, so that what disturbs the machine disturbs all alike."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.family import WEIGHTS
from benchmarks.floor import BLOCK, read
from benchmarks.judge import FLOOR, THEIRS
from benchmarks.process import ALONE, ProcessError, Usage, measure
from benchmarks.rows import OUT, Row
from benchmarks.series import Series
from benchmarks.stages import write_recipe


@dataclass(frozen=True)
class Workplace:
    """Where programs run, and how their first words become commands."""

    folder: Path
    mergekit: Path | None
    numbers: Mapping[str, str]  # what stands in commands in braces

    def command(self, text: str) -> list[str]:
        """The words of a command as the system wants them."""
        program, *words = (word.format(**self.numbers) for word in shlex.split(text))
        return [*self._program(program), *words]

    def _program(self, name: str) -> list[str]:
        ours = {
            "floor": [*ALONE, str(Path(__file__).with_name("floor.py"))],
            "python": [sys.executable],
            "mergegraph": [sys.executable, "-m", "mergegraph"],
        }
        return ours.get(name) or [str((self.mergekit or Path()) / name)]


@dataclass(frozen=True)
class Run:
    """A program of a row, and how often it is to be run."""

    row: Row
    program: str
    repeats: int

    @property
    def log(self) -> str:
        """The file of what it says."""
        return f"{self.row.name}-{self.program}.txt".replace(" ", "-")


def runs_of(
    rows: Iterable[Row],
    *,
    repeats: int,
    mergekit_repeats: int,
    has_mergekit: bool,
    mergekit_rows: Collection[str] = (),
) -> list[Run]:
    """What is to be run, in the order of the rows; by mergekit only the named ones, if any are."""
    runs = []
    for row in rows:
        for program in row.programs:
            is_chosen = has_mergekit and (not mergekit_rows or row.name in mergekit_rows)
            if program == THEIRS and not is_chosen:
                continue
            most = min(repeats, row.most_repeats or repeats)
            runs.append(Run(row, program, mergekit_repeats if program == THEIRS else most))
    return runs


def run_rounds(
    runs: Sequence[Run],
    place: Workplace,
    *,
    before: Callable[[Run], None],
    after: Callable[[Series], None],
) -> list[Series]:
    """Measure each run as often as it says, in rounds; one that fails is not tried again."""
    found = [Series(each.row.name, each.program) for each in runs]
    for each in runs:
        for name, stages in (each.row.recipes or {}).items():
            write_recipe(place.folder / "recipes" / f"{name}.yaml", stages, place.folder)
    for number in range(max((each.repeats for each in runs), default=0)):
        for i, each in enumerate(runs):
            if number < each.repeats and found[i].failure is None:
                before(each)
                found[i] = _continued(found[i], each, place)
                after(found[i])
    return found


def _continued(series: Series, run: Run, place: Workplace) -> Series:
    try:
        return replace(series, usages=(*series.usages, _measured(run, place)))
    except ProcessError as error:
        return replace(series, failure=str(error))


def _measured(run: Run, place: Workplace) -> Usage:
    """One run, made ready for; what it writes is gone afterwards."""
    _make_ready(place.folder, run.row)
    log = place.folder / "logs" / run.log
    try:
        first, *others = (
            measure(place.command(each), folder=place.folder, log=log)
            for each in run.row.programs[run.program]
        )
    finally:
        _empty(place.folder)
    for each in others:
        first = first.then(each)
    return replace(first, **json.loads(log.read_text())) if run.program == FLOOR else first


def _make_ready(folder: Path, row: Row) -> None:
    """Bring the inputs into the page cache."""
    _empty(folder)
    buffer = bytearray(BLOCK)
    for name in row.inputs:
        read(folder / name / WEIGHTS, buffer)


def _empty(folder: Path) -> None:
    """Remove what was written, and let the disk come to rest."""
    shutil.rmtree(folder / OUT, ignore_errors=True)
    os.sync()
