"""Scatter: trials by two of their scores, and many values of each as one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

PALE = 5  # the step of a ramp from which on thin lines and dots can be seen


@dataclass(frozen=True)
class Spot:
    """A trial by two scores. `style` is its colour, `name` is written beside it if there is one."""

    x: float
    y: float
    tip: str
    style: str = "pale"
    radius: float = 3.5
    name: str = ""


def scatter(
    label: str,
    spots: Sequence[Spot],
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
    named: list[tuple[float, float]] = []
    for each in spots:
        place = (across(each.x), up(each.y))
        shapes.append(circle(*place, each.radius, f"dot {each.style}", data_tip=each.tip))
        if each.name and all(abs(place[0] - x) > 40 or abs(place[1] - y) > 14 for x, y in named):  # noqa: PLR2004 - pixels of a name
            named.append(place)
            told = shortened(each.name, 16)
            shapes.append(text(place[0] + 8, place[1] - 6, told, "small halo"))
    return svg(width, height, label, *shapes)


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
    between = max(118.0, (least - 150) / max(1, len(pillars) - 1)) if len(pillars) > 1 else 118.0
    top, bottom, left = 42.0, 280.0, 64.0
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
    for x, pillar in zip(places, pillars, strict=True):
        shapes.append(line(x, top, x, bottom, "axis strongaxis"))
        shapes.append(
            text(
                x,
                16,
                shortened(pillar.name, int(between / 7.8)),
                "strong mid",
                data_tip=pillar.name,
            )
        )
        low_end, high_end = pillar.ends
        shapes.append(text(x, top - 9, shortened(high_end, 14), "small soft mid"))
        shapes.append(text(x, bottom + 16, shortened(low_end, 14), "small soft mid"))
        for share, name in pillar.steps:
            y = bottom - share * (bottom - top)
            shapes.append(circle(x, y, 2.5, "tipmark", data_tip=name))
            shapes.append(text(x + 6, y + 4, shortened(name, 16), "small halo"))
    return svg(places[-1] + 84 if places else 100, bottom + 30, label, *shapes)
