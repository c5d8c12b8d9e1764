"""Tables of what was measured and of what was promised, as text in cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import rich.box
import rich.table

from benchmarks.judge import FLOOR, MIB, Judgement, Medians
from benchmarks.process import Usage
from benchmarks.rows import Row
from benchmarks.series import Results, Series

GB = 10**9
NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """Words in cells; all columns after the first `words` hold numbers."""

    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    words: int

    def markdown(self) -> str:
        """The table as Markdown."""
        rule = ["---"] * self.words + ["---:"] * (len(self.heads) - self.words)
        lines = [self.heads, rule, *self.lines]
        return "\n".join("| " + " | ".join(each) + " |" for each in lines)

    def for_terminal(self) -> rich.table.Table:
        """The table as rich draws it."""
        drawn = rich.table.Table(box=rich.box.SIMPLE)
        for i, head in enumerate(self.heads):
            drawn.add_column(head, justify="left" if i < self.words else "right")
        for line in self.lines:
            drawn.add_row(*line)
        return drawn


def measured_table(rows: Iterable[Row], results: Results) -> Table:
    """A line for each program of each row: medians, and the range of the wall time."""
    floors = {row.name: row.floor for row in rows}
    medians = results.medians
    return Table(
        ("row", "program", "wall s", "CPU s", "peak MiB", "read GB", "written GB", "÷ floor"),
        tuple(_measured(each, medians, floors.get(each.row)) for each in results.series),
        words=2,
    )


def judged_table(judgements: Iterable[Judgement]) -> Table:
    """A line for each target."""
    return Table(
        ("row", "target", "verdict", "measured", "wanted"),
        tuple(_judged(each) for each in judgements),
        words=3,
    )


def number(value: float) -> str:
    """Three digits or so."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _measured(series: Series, medians: Medians, floor: str | None) -> tuple[str, ...]:
    usage = medians.get((series.row, series.program))
    if usage is None:
        word = "failed" if series.failure else "not run"
        return (series.row, series.program, word, *[NOTHING] * 5)
    return (
        series.row,
        series.program,
        _range(usage.wall, [each.wall for each in series.usages]),
        number(usage.cpu),
        f"{usage.peak / MIB:.0f}",
        _gigabytes(usage.read),
        _gigabytes(usage.written),
        _over_floor(usage, medians, floor),
    )


def _judged(judgement: Judgement) -> tuple[str, ...]:
    target, measured = judgement.target, judgement.measured
    sign = "≥" if target.at_least else "≤"
    return (
        judgement.row,
        target.says,
        judgement.verdict,
        NOTHING if measured is None else f"{number(measured)} {target.unit}",
        f"{sign} {target.limit:g} {target.unit}",
    )


def _range(middle: float, walls: Sequence[float]) -> str:
    if len(walls) == 1:
        return number(middle)
    return f"{number(middle)} ({number(min(walls))}–{number(max(walls))})"


def _gigabytes(count: int | None) -> str:
    return NOTHING if count is None else number(count / GB)


def _over_floor(usage: Usage, medians: Medians, floor: str | None) -> str:
    least = medians.get((floor, FLOOR)) if floor else None
    return number(usage.wall / least.wall) if least else NOTHING
