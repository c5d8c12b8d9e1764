"""Scatter: trials by two of their scores, and many values of each as one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mergegraph.report.curves import Dot
from mergegraph.report.drawing import (
    Scale,
    circle,
    left_axis,
    line,
    polyline,
    svg,
    text,
    width_of,
)
from mergegraph.report.markup import Markup, number, shortened
from mergegraph.report.palette import step_of

Box = tuple[float, float, float, float]  # left, top, right, bottom
PALE = 5  # the step of a ramp from which on thin lines and dots can be seen


def scatter(
    label: str,
    spots: Sequence[Dot],
    names: tuple[str, str],
    front: Sequence[tuple[float, float]] = (),
    size: tuple[float, float] = (560, 380),
) -> Markup:
    """Spots in a plane, with a line through the front of those that none other beats."""
    width, height = size
    up = Scale.over([each.y for each in spots], height - 44, 30, zero=False)
    left = 14 + max(width_of(number(tick), is_small=True) for tick in up.ticks())
    across = Scale.over([each.x for each in spots], left + 4, width - 46, zero=False)
    shapes = left_axis(up, left, width - 12, number)
    bottom = height - 44
    shapes.append(line(left, bottom, width - 12, bottom, "axis"))
    for tick in across.ticks(6):
        shapes.append(line(across(tick), 30, across(tick), bottom, "grid"))
        shapes.append(text(across(tick), bottom + 17, number(tick), "small soft mid"))
    shapes.append(text(0, 14, names[1], "small soft"))
    shapes.append(text((left + width) / 2, height - 6, names[0], "small soft mid"))
    if len(front) > 1:
        shapes.append(polyline([(across(x), up(y)) for x, y in front], "curve k0"))
    placed = [(across(each.x), up(each.y)) for each in spots]
    for each, place in zip(spots, placed, strict=True):
        shapes.append(circle(*place, each.radius, f"dot {each.style}", data_tip=each.tip))
    named = [(x, y, each.name) for each, (x, y) in zip(spots, placed, strict=True) if each.name]
    shapes += _named(named, [(x - 5, y - 5, x + 5, y + 5) for x, y, _ in named], width)
    return svg(width, height, label, *shapes)


def _named(
    spots: Sequence[tuple[float, float, str]], taken: list[Box], width: float
) -> list[Markup]:
    """Names beside their spots, each where it touches nothing; one without such a place is left."""
    shapes = []
    for x, y, name in spots:
        told = shortened(name, 24)
        wide = width_of(told, is_small=True)
        for left, bottom in (
            *((x + 8, y + 4), (x - 8 - wide, y + 4)),
            *((x + 6, y - 7), (x + 6, y + 16), (x - 6 - wide, y - 7), (x - 6 - wide, y + 16)),
        ):
            box = (left, bottom - 10, left + wide, bottom + 3)
            if left > 0 and box[2] < width and not any(_touch(box, each) for each in taken):
                taken.append(box)
                shapes.append(text(left, bottom, told, "small halo"))
                break
    return shapes


def _touch(first: Box, second: Box) -> bool:
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )


@dataclass(frozen=True)
class Pillar:
    """An axis of many: the values that things have on it, as shares of its height, None if none.

    `ends` are what is written below and above it.
    """

    name: str
    shares: Sequence[float | None]
    ends: tuple[str, str]
    steps: Sequence[tuple[float, str]] = ()


def parallel(
    label: str,
    pillars: Sequence[Pillar],
    scores: Sequence[float],
    chosen: Sequence[int],
    told: Callable[[int], str],
    least: float = 1000,
) -> Markup:
    """Each thing a line over all pillars, coloured by its score; chosen ones are drawn on top."""
    names = [shortened(each.name, 26) for each in pillars]
    left, right = (
        (max(48.0, width_of(names[i]) * 0.6 + 4) for i in (0, -1)) if names else (48.0, 48.0)
    )
    right = max(right, *(12 + width_of(each, is_small=True) for _, each in pillars[-1].steps), 0.0)
    between = max(84.0, (least - left - right) / max(1, len(pillars) - 1))
    is_high = any(width_of(each) * 1.1 > between for each in names)  # names on two lines, in turn
    top, bottom = (60.0 if is_high else 42.0), (298.0 if is_high else 280.0)
    places = [left + i * between for i in range(len(pillars))]
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    order = sorted(range(len(scores)), key=lambda i: (i in chosen, scores[i]))
    shapes: list[Markup] = []
    for i in order:
        points = [
            (x, bottom - share * (bottom - top))
            for x, pillar in zip(places, pillars, strict=True)
            if (share := pillar.shares[i]) is not None
        ]
        if i in chosen:
            shapes.append(polyline(points, "bold k1", data_tip=told(i)))
        else:
            step = max(PALE, step_of(scores[i], low, high))
            shapes.append(polyline(points, f"curve line-cool{step}", data_tip=told(i)))
    for i, (x, pillar) in enumerate(zip(places, pillars, strict=True)):
        shapes.append(line(x, top, x, bottom, "axis strongaxis"))
        row = 34 if is_high and i % 2 else 16
        shapes.append(text(x, row, names[i], "strong mid", data_tip=pillar.name))
        low_end, high_end = pillar.ends
        shapes.append(text(x, top - 9, shortened(high_end, 14), "small soft mid"))
        shapes.append(text(x, bottom + 16, shortened(low_end, 14), "small soft mid"))
        for share, name in pillar.steps:
            y = bottom - share * (bottom - top)
            shapes.append(circle(x, y, 2.5, "tipmark", data_tip=name))
            shapes.append(text(x + 6, y + 4, shortened(name, 16), "small halo"))
    return svg(places[-1] + right if places else 100, bottom + 30, label, *shapes)
