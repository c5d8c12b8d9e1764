"""Graphs: what was made of what, as boxes with arrows between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mergegraph.report.drawing import path, rect, svg, text, width_of
from mergegraph.report.layout import Places, arranged
from mergegraph.report.markup import Markup, coordinate, element, shortened

_LONGEST = 34  # letters of a line in a box
_LINE = 16.0
_PAD = 11.0


@dataclass(frozen=True)
class Node:
    """A box: its first line in bold, the others below; `column` where it has a place of its own."""

    key: str
    lines: Sequence[str]
    style: str = ""
    tip: str = ""
    column: int | None = None


@dataclass(frozen=True)
class Edge:
    """An arrow from one box to another, with a word on it if there is one."""

    first: str
    second: str
    told: str = ""
    is_dashed: bool = False


def graph(
    label: str, nodes: Sequence[Node], edges: Sequence[Edge], heads: Sequence[str] = ()
) -> Markup:
    """A graph from left to right; `heads` are words above its columns."""
    known = {each.key for each in nodes}
    edges = [each for each in edges if each.first in known and each.second in known]
    sizes = {each.key: _size(each) for each in nodes}
    given = {each.key: each.column for each in nodes if each.column is not None}
    places = arranged(
        [each.key for each in nodes],
        [(each.first, each.second) for each in edges],
        {key: height for key, (_, height) in sizes.items()},
        given if len(given) == len(nodes) else None,
    )
    between = 96.0 if any(each.told for each in edges) else 64.0
    lefts = _lefts(places, sizes, between)
    top = 26.0 if heads else 2.0
    shapes = [
        text(lefts[column][0], 13, head, "small soft")
        for column, head in enumerate(heads)
        if column in lefts
    ]
    drawn = _Drawn(places, sizes, lefts, top)
    shapes += [shape for each in edges for shape in drawn.edge(each)]
    shapes += [shape for each in nodes for shape in drawn.node(each)]
    right = max((left + width for left, width in lefts.values()), default=0.0)
    return svg(right + 3, places.height + top + 4, label, *shapes)


@dataclass(frozen=True)
class _Drawn:
    """What is known of a graph once its nodes have places."""

    places: Places
    sizes: Mapping[str, tuple[float, float]]
    lefts: Mapping[int, tuple[float, float]]
    top: float

    def left(self, key: str) -> float:
        return self.lefts[self.places.columns[key]][0]

    def middle(self, key: str) -> float:
        return self.places.middles[key] + self.top

    def node(self, node: Node) -> list[Markup]:
        width, height = self.sizes[node.key]
        x, y = self.left(node.key), self.middle(node.key) - height / 2
        told = node.tip or "\n".join(node.lines)
        box = rect(x, y, width, height, f"node {node.style}".strip(), rx=7, data_tip=told)
        lines = [
            text(
                x + _PAD,
                y + _PAD + 8 + i * _LINE,
                shortened(each, _LONGEST),
                "strong" if i == 0 else "small soft",
                data_tip=told,
            )
            for i, each in enumerate(node.lines)
        ]
        return [box, *lines]

    def edge(self, edge: Edge) -> list[Markup]:
        """An arrow through the columns between its ends."""
        start = (self.left(edge.first) + self.sizes[edge.first][0], self.middle(edge.first))
        end = (self.left(edge.second) - 7, self.middle(edge.second))
        points = [start]
        for column, y in self.places.bends[edge.first, edge.second] if start[0] < end[0] else ():
            left, width = self.lefts[column]
            points += [(left, y + self.top), (left + width, y + self.top)]
        points.append(end)
        x, y = end
        style = "edge dashed" if edge.is_dashed else "edge"
        tip = f"M{coordinate(x)} {coordinate(y - 3.5)}l7 3.5l-7 3.5z"
        shapes = [path(_curved(points), style), path(tip, "tipmark")]
        if edge.told:
            (x1, y1), (x2, y2) = points[-2], points[-1]
            at = (x1 + 0.62 * (x2 - x1), y1 + 0.70 * (y2 - y1))
            shapes.append(_plate(*at, edge.told))
        return shapes


def _plate(x: float, y: float, told: str) -> Markup:
    """A word on an arrow, on a ground of its own."""
    width = width_of(told, is_small=True) + 8
    return element(
        "g",
        rect(x - width / 2, y - 8, width, 16, "plate", rx=4),
        text(x, y + 4, told, "small soft mid"),
    )


def _curved(points: Sequence[tuple[float, float]]) -> str:
    """A smooth way from point to point that leaves and arrives level."""
    (x, y), *rest = points
    steps = [f"M{coordinate(x)} {coordinate(y)}"]
    for to_x, to_y in rest:
        middle = (x + to_x) / 2
        told = [middle, y, middle, to_y, to_x, to_y]
        steps.append("C" + " ".join(map(coordinate, told)))
        x, y = to_x, to_y
    return "".join(steps)


def _size(node: Node) -> tuple[float, float]:
    shown = [shortened(each, _LONGEST) for each in node.lines] or [""]
    widest = max(width_of(shown[0]) * 1.09, *(width_of(each, is_small=True) for each in shown))
    return max(56.0, widest + 2 * _PAD), len(shown) * _LINE + 2 * _PAD - 6


def _lefts(
    places: Places, sizes: Mapping[str, tuple[float, float]], between: float
) -> dict[int, tuple[float, float]]:
    """Where each column begins, and how wide it is."""
    widths: dict[int, float] = {}
    for key, column in places.columns.items():
        widths[column] = max(widths.get(column, 0.0), sizes[key][0])
    x, found = 2.0, {}
    for column in range(max(widths, default=-1) + 1):
        found[column] = (x, widths.get(column, 20.0))
        x += widths.get(column, 20.0) + between
    return found
