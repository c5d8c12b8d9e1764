"""Bars: parts of a whole one below the other, and what threads did over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mergegraph.report.drawing import Scale, bottom_axis, line, rect, svg, text, width_of
from mergegraph.report.markup import Markup, number, shortened

_HEIGHT = 26.0


@dataclass(frozen=True)
class Bar:
    """A row of parts, each a value in the colour of a kind, with its name."""

    name: str
    parts: Sequence[tuple[str, float, int]]
    told: str = ""


def bars(
    label: str,
    rows: Sequence[Bar],
    *,
    told: Callable[[float], str] = number,
    across: str = "",
    marks: Sequence[tuple[float, str]] = (),
    width: float = 760,
) -> Markup:
    """Rows of parts side by side, with the sum at the end; marks are lines down at values."""
    labels = [shortened(each.name, 30) for each in rows]
    left = max([width_of(each) for each in labels], default=0.0) + 12
    ends = [each.told or told(_sum(each)) for each in rows]
    room = max([width_of(each, is_small=True) for each in ends], default=0.0) + 12
    top = 22.0 if marks else 6.0
    longest = max([*(_sum(each) for each in rows), *(value for value, _ in marks), 1e-12])
    scale = Scale(0, longest, left, width - room)
    bottom = top + len(rows) * _HEIGHT + 2
    ticks = Scale(0, longest, left, width - room)
    shapes = bottom_axis(ticks, bottom, told, 5)
    for i, row in enumerate(rows):
        y = top + i * _HEIGHT
        shapes.append(text(left - 10, y + 16, labels[i], "end"))
        at = 0.0
        for name, value, kind in row.parts:
            tip = f"{row.name}\n{name}: {told(value)}" if name else f"{row.name}\n{told(value)}"
            given = (scale(at), y + 4, scale(at + value) - scale(at), _HEIGHT - 9)
            shapes.append(rect(*given, f"f{kind}", data_tip=tip))
            at += value
        shapes.append(text(scale(at) + 7, y + 16, ends[i], "small soft"))
    for value, name in marks:
        shapes.append(line(scale(value), top - 4, scale(value), bottom, "mark"))
        style = "small soft end" if scale(value) > (left + width) / 2 else "small soft"
        shapes.append(text(scale(value), top - 9, name, style))
    if across:
        shapes.append(text((left + width - room) / 2, bottom + 34, across, "small soft mid"))
    return svg(width, bottom + (40 if across else 24), label, *shapes)


@dataclass(frozen=True)
class Lane:
    """What one thread did: in each stretch of time, the share of it that went to each kind."""

    name: str
    shares: Sequence[Sequence[tuple[str, float, int]]]
    step: float  # seconds of a stretch


def lanes(label: str, rows: Sequence[Lane], seconds: float, width: float = 980) -> Markup:
    """Threads one below the other over time, each stretch filled as far as it was at work."""
    left = max([width_of(each.name) for each in rows], default=0.0) + 12
    height, gap = 40.0, 10.0
    scale = Scale(0, seconds, left, width - 12)
    shapes: list[Markup] = []
    for i, row in enumerate(rows):
        y = i * (height + gap) + 4
        shapes.append(text(left - 10, y + height / 2 + 4, row.name, "end"))
        shapes.append(rect(left, y, scale.stop - left, height, "back"))
        for j, parts in enumerate(row.shares):
            x, end = scale(j * row.step), min(scale((j + 1) * row.step), scale.stop)
            at = y + height
            told = "\n".join(f"{name}: {share:.0%}" for name, share, _ in parts)
            for _, share, kind in parts:
                at -= share * height
                tip = f"{row.name}, {number(j * row.step, 3)} s\n{told}"
                size = (end - x + 0.1, share * height)
                shapes.append(rect(x, at, *size, f"f{kind}", data_tip=tip))
    bottom = len(rows) * (height + gap)
    shapes += bottom_axis(scale, bottom, lambda value: f"{number(value)} s", 8)
    return svg(width, bottom + 24, label, *shapes)


def _sum(row: Bar) -> float:
    return sum(value for _, value, _ in row.parts)
