"""Curves: values over layers, trials or generations, as lines, steps and dots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mergegraph.report.drawing import (
    Scale,
    bottom_axis,
    circle,
    left_axis,
    line,
    polyline,
    svg,
    text,
    whole,
    width_of,
)
from mergegraph.report.markup import Markup, number, shortened

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """A line through points, in the colour of a kind, or as steps from each to the next."""

    name: str
    points: Sequence[Point]
    kind: int
    is_step: bool = False
    style: str = "curve"
    has_dots: bool = False


@dataclass(frozen=True)
class Dot:
    """A single point. `style` is its colour, `name` stands beside it in a plane of scores."""

    x: float
    y: float
    tip: str
    style: str = "pale"
    radius: float = 3.5
    name: str = ""


@dataclass(frozen=True)
class Chart:
    """What is drawn in one pair of axes. `marks` are lines across at values that have a name."""

    label: str
    across: str
    curves: Sequence[Curve] = ()
    dots: Sequence[Dot] = ()
    marks: Sequence[tuple[float, str]] = ()
    up: str = ""
    zero: bool = False
    size: tuple[float, float] = (720, 300)
    told: Callable[[float], str] = number
    is_counted: bool = True  # what is across is a count
    names_ends: bool = False  # each curve is named where it ends
    scale: Sequence[float] = ()  # values that the scale has room for, drawn or not


def chart(drawn: Chart) -> Markup:
    """The picture of a chart."""
    width, height = drawn.size
    values = [y for curve in drawn.curves for _, y in curve.points]
    values += [each.y for each in drawn.dots] + [value for value, _ in drawn.marks]
    values += drawn.scale
    places = [x for curve in drawn.curves for x, _ in curve.points] + [d.x for d in drawn.dots]
    top = 30.0 if drawn.up else 12.0
    bottom = height - (40.0 if drawn.across else 24.0)
    up = Scale.over(values, bottom, top, zero=drawn.zero)
    left = 14 + max(width_of(drawn.told(tick), is_small=True) for tick in up.ticks())
    right = width - (_room(drawn) if drawn.names_ends else 14.0)
    across = _across(places, left + 6, right, is_counted=drawn.is_counted)
    shapes = left_axis(up, left, right, drawn.told)
    most = max(2, int((right - left) / 60))
    shapes += bottom_axis(across, bottom, whole if drawn.is_counted else number, most)
    if drawn.across:
        shapes.append(text((left + right) / 2, height - 6, drawn.across, "small soft mid"))
    if drawn.up:
        shapes.append(text(0, 14, drawn.up, "small soft"))
    shapes += _marks(drawn, up, left, right)
    for curve in drawn.curves:
        shapes += _curve(curve, across, up, drawn)
    shapes += [
        circle(across(d.x), up(d.y), d.radius, f"dot {d.style}", data_tip=d.tip) for d in drawn.dots
    ]
    if drawn.names_ends:
        shapes += _ends(drawn, across, up)
    return svg(width, height, drawn.label, *shapes)


def _across(places: Sequence[float], left: float, right: float, *, is_counted: bool) -> Scale:
    """The scale of what is across: exactly from first to last where that is a count."""
    if not is_counted:
        return Scale.over(places, left, right, zero=False)
    low, high = min(places, default=0.0), max(places, default=1.0)
    return (
        Scale(low - 0.5, high + 0.5, left, right) if low == high else Scale(low, high, left, right)
    )


def _marks(drawn: Chart, up: Scale, left: float, right: float) -> list[Markup]:
    shapes = []
    for value, name in drawn.marks:
        shapes.append(line(left, up(value), right, up(value), "mark"))
        shapes.append(text(left + 8, up(value) - 5, name, "small soft halo"))
    return shapes


def _curve(curve: Curve, across: Scale, up: Scale, drawn: Chart) -> list[Markup]:
    """A curve; a single point is a dot, as no line can be seen of it."""
    points = [(across(x), up(y)) for x, y in curve.points]
    if curve.is_step:
        points = [
            step
            for i, (x, y) in enumerate(points)
            for step in ([(x, points[i - 1][1])] if i else []) + [(x, y)]
        ]
    shapes = [polyline(points, f"{curve.style} k{curve.kind}")] if len(points) > 1 else []
    if curve.has_dots or len(points) == 1:
        shapes += [
            circle(
                across(x),
                up(y),
                3.2,
                f"dot f{curve.kind}",
                data_tip=f"{curve.name}\n{drawn.across} {number(x)}: {drawn.told(y)}".strip(),
            )
            for x, y in curve.points
        ]
    return shapes


def _room(drawn: Chart) -> float:
    return max([width_of(shortened(c.name, 24)) for c in drawn.curves], default=0.0) + 18


def _ends(drawn: Chart, across: Scale, up: Scale) -> list[Markup]:
    """The names of curves where they end, moved apart where they would touch."""
    ends = sorted(
        (up(curve.points[-1][1]), across(curve.points[-1][0]), curve.name)
        for curve in drawn.curves
        if curve.points
    )
    shapes, lowest = [], -1e9
    for y, x, name in ends:
        lowest = max(y, lowest + 14)
        shapes.append(text(x + 9, lowest + 4, shortened(name, 24)))
    return shapes
