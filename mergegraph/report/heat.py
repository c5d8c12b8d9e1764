"""Heat maps: a colour for every pair of a row and a column, with a tree beside them if wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import cos, radians, sin

from mergegraph.report.clustering import Branch
from mergegraph.report.drawing import Scale, line, ramp_key, rect, svg, text, width_of
from mergegraph.report.markup import Markup, number, shortened
from mergegraph.report.palette import step_of

_LONGEST = 26  # letters of a label
_ANGLE = 40  # degrees by which labels of columns are turned
_TREE = 150  # pixels of a tree
WIDE = 960  # pixels of a picture that has the page for itself
HALF = 460  # of one of two side by side
_NARROW = 24  # a cell in which no number is written


@dataclass(frozen=True)
class Heat:
    """Values of rows and columns; None where there is none."""

    label: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    ramp: str
    ends: tuple[float, float]
    told: Callable[[float], str] = number
    across: str = ""

    @cached_property
    def widest(self) -> float:
        """The room that the longest of its numbers takes: all are written, or none."""
        known = (each for row in self.values for each in row if each is not None and each == each)  # noqa: PLR0124
        return max((width_of(self.told(each), is_small=True) for each in known), default=0.0)


def square(heat: Heat, tree: Branch | None = None, height_of: str = "1 − r") -> Markup:
    """A heat map of things with each other, in the order of a tree that is drawn beside it."""
    order = list(tree.leaves) if tree else list(range(len(heat.rows)))
    count = len(order)
    side = max(18.0, min(58.0, 560 / max(1, count)))
    labels = [shortened(each, _LONGEST) for each in heat.rows]
    left = max(width_of(each) for each in labels) + 14
    top = _lean(labels) if count else 0.0
    grid = count * side
    shapes = [
        *_labels(labels, order, left, top, side),
        *_cells(heat, order, left, top, side),
    ]
    width = left + grid + _overhang(labels, order, side)
    if tree is not None and count > 1:
        shapes += _tree(tree, left + grid + 18, top, side, height_of)
        width = max(width, left + grid + 18 + _TREE + 34)
    shapes += ramp_key(heat.ramp, left, top + grid + 16, heat.ends, heat.told)
    return svg(width + 4, top + grid + 44, heat.label, *shapes)


def oblong(heat: Heat, widest: float = WIDE) -> Markup:
    """A heat map of kinds, one below the other, over layers, side by side."""
    labels = [shortened(each, _LONGEST) for each in heat.rows]
    left = max([width_of(each) for each in labels], default=0.0) + 12
    cell = max(7.0, min(48.0, (widest - left) / max(1, len(heat.columns))))
    height, top = 21.0, 22.0
    shapes = [
        text(left - 10, top + i * height + 15, each, "end", **_full(each, name))
        for i, (each, name) in enumerate(zip(labels, heat.rows, strict=True))
    ]
    every = _every(heat.columns, cell)
    shapes += [
        text(left + (j + 0.5) * cell, top - 7, name, "small soft mid")
        for j, name in enumerate(heat.columns)
        if j % every == 0
    ]
    for i, row in enumerate(heat.values):
        for j, value in enumerate(row):
            tip = f"{heat.rows[i]}\n{heat.across} {heat.columns[j]}".rstrip()
            place = (left + j * cell, top + i * height)
            shapes += _cell(heat, value, place, (cell, height), tip)
    bottom = top + len(heat.rows) * height
    shapes += ramp_key(heat.ramp, left, bottom + 14, heat.ends, heat.told)
    if heat.across:
        shapes.append(text(left - 10, top - 7, heat.across, "small soft end"))
    width = left + max(len(heat.columns) * cell, 175)
    return svg(width + 10, bottom + 42, heat.label, *shapes)


def _cells(heat: Heat, order: Sequence[int], left: float, top: float, side: float) -> list[Markup]:
    shapes = []
    for y, i in enumerate(order):
        for x, j in enumerate(order):
            tip = heat.rows[i] if i == j else f"{heat.rows[i]}\n{heat.columns[j]}"
            place = (left + x * side, top + y * side)
            shapes += _cell(heat, heat.values[i][j], place, (side, side), tip)
    return shapes


def _cell(
    heat: Heat,
    value: float | None,
    place: tuple[float, float],
    size: tuple[float, float],
    tip: str,
) -> list[Markup]:
    """One cell, with its number where there is room for it."""
    (x, y), (width, height) = place, size
    gap = 1 if width > 10 else 0.5  # noqa: PLR2004 - pixels
    given = {"x": x, "y": y, "width": width - gap, "height": height - gap}
    if value is None or value != value:  # noqa: PLR0124 - not a number
        return [rect(**given, style="none", data_tip=f"{tip}\nnothing to measure")]
    step = step_of(value, *heat.ends)
    told = heat.told(value)
    shapes = [rect(**given, style=f"{heat.ramp}{step}", data_tip=f"{tip}\n{told}")]
    if width >= _NARROW and heat.widest < width - 3:
        middle = (x + width / 2, y + height / 2 + 4)
        shapes.append(text(*middle, told, f"small mid on-{heat.ramp}{step}"))
    return shapes


def _labels(
    labels: Sequence[str], order: Sequence[int], left: float, top: float, side: float
) -> list[Markup]:
    shapes = []
    for place, i in enumerate(order):
        middle = (place + 0.5) * side
        x, y = left + middle, top - 8
        turned = f"rotate({-_ANGLE} {number(x)} {number(y)})"
        shapes.append(text(left - 9, top + middle + 4, labels[i], "end"))
        shapes.append(text(x, y, labels[i], "", transform=turned))
    return shapes


def _lean(labels: Sequence[str]) -> float:
    """The room above the cells for labels that lean."""
    return max(width_of(each) for each in labels) * sin(radians(_ANGLE)) + 22


def _overhang(labels: Sequence[str], order: Sequence[int], side: float) -> float:
    """How far leaning labels reach beyond the last column."""
    count = len(order)
    reach = [
        (place + 0.5) * side + width_of(labels[i]) * cos(radians(_ANGLE)) - count * side
        for place, i in enumerate(order)
    ]
    return max([0.0, *reach]) + 6


def _tree(tree: Branch, x: float, top: float, side: float, told: str) -> list[Markup]:
    """The tree beside the rows: the farther right two branches meet, the less they are alike."""
    highest = max(tree.height, 1e-9)
    scale = Scale.over([0.0, highest], x, x + _TREE, zero=True)
    shapes: list[Markup] = []
    rows = {leaf: top + (place + 0.5) * side for place, leaf in enumerate(tree.leaves)}

    def draw(branch: Branch) -> tuple[float, float]:
        """The place where a branch ends."""
        if branch.leaf is not None:
            return x, rows[branch.leaf]
        ends = [draw(part) for part in branch.parts]
        at = scale(branch.height)
        shapes.extend(line(end, y, at, y, "branch") for end, y in ends)
        (_, first), (_, last) = ends
        shapes.append(line(at, first, at, last, "branch"))
        return at, (first + last) / 2

    draw(tree)
    bottom = top + len(rows) * side
    shapes.append(line(x, bottom + 8, x + _TREE, bottom + 8, "axis"))
    for value in scale.ticks(3):
        shapes.append(line(scale(value), bottom + 8, scale(value), bottom + 12, "axis"))
        shapes.append(text(scale(value), bottom + 25, number(value), "small soft mid"))
    shapes.append(text(x + _TREE / 2, bottom + 40, told, "small soft mid"))
    return shapes


def _every(names: Sequence[str], cell: float) -> int:
    """Of how many columns one is named, so that names do not touch."""
    widest = max((width_of(each, is_small=True) for each in names), default=0.0) + 6
    step = 1
    for step in (1, 2, 4, 5, 10, 20, 50, 100, 1000):
        if step * cell >= widest:
            break
    return step


def _full(shown: str, name: str) -> dict[str, str]:
    return {} if shown == name else {"data_tip": name}
