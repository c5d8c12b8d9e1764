"""Drawing: shapes, texts, scales and axes of pictures in SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import Any

from mergegraph.report.markup import Markup, coordinate, element, number
from mergegraph.report.palette import STEPS, step_of

_LETTER = 7.1  # pixels that a letter of 12 pixels takes, about
_LETTER_SMALL = 6.5


def svg(width: float, height: float, label: str, *shapes: Any) -> Markup:
    """A picture of so many pixels; the label is what is read aloud in its place."""
    width, height = ceil(width), ceil(height)
    return element(
        "svg",
        element("title", label),
        *shapes,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
    )


def text(x: float, y: float, told: str, style: str = "", **more: Any) -> Markup:
    """A text whose baseline begins at a place, or ends or is centred there as the style says."""
    return element("text", told, x=x, y=y, class_=style or None, **more)


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=style)


def rect(x: float, y: float, width: float, height: float, style: str, **more: Any) -> Markup:
    """A rectangle; `data_tip` says what is told of it under the pointer."""
    size = {"width": max(0.0, float(width)), "height": max(0.0, float(height))}
    return element("rect", x=float(x), y=float(y), **size, class_=style, **more)


def circle(x: float, y: float, radius: float, style: str, **more: Any) -> Markup:
    """A dot."""
    return element("circle", cx=float(x), cy=float(y), r=radius, class_=style, **more)


def path(steps: str, style: str, **more: Any) -> Markup:
    """A path by its steps."""
    return element("path", d=steps, class_=style, **more)


def polyline(points: Sequence[tuple[float, float]], style: str, **more: Any) -> Markup:
    """A line from point to point."""
    told = " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in points)
    return element("polyline", points=told, class_=style, **more)


def width_of(told: str, *, is_small: bool = False) -> float:
    """About how wide a text is, in pixels."""
    return len(told) * (_LETTER_SMALL if is_small else _LETTER)


@dataclass(frozen=True)
class Scale:
    """From values to places: `low` is at `start`, `high` at `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.start + share * (self.stop - self.start)

    @classmethod
    def over(cls, values: Sequence[float], start: float, stop: float, *, zero: bool) -> Scale:
        """A scale that ends at round numbers about some values, and at zero if that is asked."""
        found = [each for each in values if isfinite(each)] or [0.0, 1.0]
        low, high = min(found), max(found)
        if zero:
            low, high = min(0.0, low), max(0.0, high)
        if low == high:
            margin = abs(low) / 10 or 1.0
            low, high = (low if zero and low == 0 else low - margin), high + margin
        step = step_between(low, high)
        return cls(floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step, start, stop)

    def ticks(self, most: int = 5) -> Iterator[float]:
        """Round values on the scale."""
        step = step_between(self.low, self.high, most)
        first = ceil(self.low / step - 1e-9)
        last = floor(self.high / step + 1e-9)
        return (place * step for place in range(first, last + 1))


def step_between(low: float, high: float, most: int = 5) -> float:
    """A round step, 1, 2 or 5 times a power of ten, of which few lie between two values."""
    span = (high - low) / most or 1.0
    power = 10.0 ** floor(log10(span))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= span * (1 - 1e-9))


def left_axis(scale: Scale, x: float, until: float, told: Callable[[float], str]) -> list[Markup]:
    """Horizontal lines at round values, each with its number left of `x`."""
    return [
        shape
        for value in scale.ticks()
        for shape in (
            line(x, scale(value), until, scale(value), "grid"),
            text(x - 8, scale(value) + 4, told(value), "small soft end"),
        )
    ]


def bottom_axis(scale: Scale, y: float, told: Callable[[float], str], most: int) -> list[Markup]:
    """Round values below a line at `y`."""
    numbers = [text(scale(v), y + 17, told(v), "small soft mid") for v in scale.ticks(most)]
    return [line(scale.start, y, scale.stop, y, "axis"), *numbers]


def whole(value: float) -> str:
    """A count as an axis has it; nothing between whole numbers."""
    return number(value) if value == int(value) else ""


def ramp_key(
    ramp: str, x: float, y: float, ends: tuple[float, float], told: Callable[[float], str]
) -> list[Markup]:
    """What the colours of a ramp stand for, as a bar with its ends named."""
    low, high = ends
    width = 8.0
    bar = [rect(x + i * width, y, width + 0.5, 9, f"{ramp}{i}") for i in range(STEPS)]
    stop = x + STEPS * width
    names = [
        text(x, y + 22, told(low), "small soft"),
        text(stop, y + 22, told(high), "small soft end"),
    ]
    if low < 0 < high:
        zero = x + (step_of(0, low, high) + 0.5) * width
        names.append(text(zero, y + 22, told(0), "small soft mid"))
    return [*bar, *names]


def swatch(kind: int, *, is_line: bool = False) -> Markup:
    """A sample of the colour that tells a kind apart."""
    shape = (
        element("path", d="M0 6h14", class_=f"bold k{kind}")
        if is_line
        else rect(1, 1, 10, 10, f"f{kind}", rx=2)
    )
    return element("svg", shape, width=14, height=12, viewBox="0 0 14 12", aria_hidden="true")


def key(names: Sequence[tuple[str, int]], *, is_line: bool = False) -> Markup:
    """Which colour is which."""
    return element(
        "ul",
        *(element("li", swatch(kind, is_line=is_line), name) for name, kind in names),
        class_="key",
    )
