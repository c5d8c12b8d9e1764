"""docs/performance.svg: a bar for the wall time of every program of every row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.judge import FLOOR, OURS, THEIRS, Medians
from benchmarks.rows import Row

COLOURS = {FLOOR: "#9aa5b1", OURS: "#1f6feb", THEIRS: "#d9822b"}  # apart in grey, too

_BAR = 0.26
_INK = "#1f2328"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "mergegraph",  # equal results give an equal file
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def draw_picture(path: Path, rows: list[Row], medians: Medians) -> None:
    """Draw the rows that have a floor; raises ImportError where matplotlib is not installed."""
    import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]
    from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]

    drawn = [row for row in rows if row.floor and (row.name, OURS) in medians]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 1.2 + 0.5 * len(drawn)), layout="constrained")
        axes = figure.subplots()
        for number, program in enumerate(COLOURS):
            _bars(axes, program, number, [_wall(row, program, medians) for row in drawn])
        axes.set_yticks(range(len(drawn)), [row.name for row in drawn])
        axes.set_xscale("log")
        axes.set_xlabel("wall time in seconds, logarithmic")
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(COLOURS), frameon=False)
        metadata = {"Date": None, "Creator": None}
        figure.savefig(path, format="svg", facecolor="white", metadata=metadata)


def _bars(axes: Any, program: str, number: int, walls: list[float | None]) -> None:
    places = [place + (number - 1) * _BAR for place in range(len(walls))]
    known = [(place, wall) for place, wall in zip(places, walls, strict=True) if wall is not None]
    bars = axes.barh(
        [place for place, _ in known],
        [wall for _, wall in known],
        height=_BAR,
        color=COLOURS[program],
        label=program,
    )
    axes.bar_label(bars, fmt="%.3g", padding=3, fontsize=8)


def _wall(row: Row, program: str, medians: Medians) -> float | None:
    usage = medians.get((row.floor or "" if program == FLOOR else row.name, program))
    return usage.wall if usage else None
