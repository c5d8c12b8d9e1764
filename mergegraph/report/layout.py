"""Layout: where the nodes of a graph stand, in columns from left to right with few crossings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 12
_BEND = 16.0  # pixels for an edge that passes a column


@dataclass(frozen=True)
class Places:
    """The column of each node and its middle, from the top; and where edges pass columns."""

    columns: Mapping[str, int]
    middles: Mapping[str, float]
    bends: Mapping[tuple[str, str], tuple[tuple[int, float], ...]]
    height: float


def arranged(
    nodes: Sequence[str],
    edges: Sequence[tuple[str, str]],
    heights: Mapping[str, float],
    columns: Mapping[str, int] | None = None,
    gap: float = 16.0,
) -> Places:
    """Find a place for every node; columns are given, or as far right as what it is made of."""
    edges = [pair for pair in dict.fromkeys(edges) if pair[0] != pair[1]]
    found = dict(columns) if columns else _columns(nodes, edges)
    chains = {pair: _chain(pair, found) for pair in edges}
    rows: dict[int, list[str]] = {}
    own = dict(heights)
    for node in nodes:
        rows.setdefault(found[node], []).append(node)
    for chain in chains.values():
        for column, bend in chain[1:-1]:
            rows.setdefault(column, []).append(bend)
            own[bend] = _BEND
    links = [
        (first, second) for chain in chains.values() for (_, first), (_, second) in pairwise(chain)
    ]
    near = _neighbours(links)
    ordered = _ordered([rows[column] for column in sorted(rows)], near)
    middles, height = _middles(ordered, near, own, gap)
    bends = {
        pair: tuple((column, middles[bend]) for column, bend in chain[1:-1])
        for pair, chain in chains.items()
    }
    return Places(found, {each: middles[each] for each in nodes}, bends, height)


def _columns(nodes: Iterable[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """One more than the farthest of what a node is made of; sources stand by their first user."""
    parents: dict[str, list[str]] = {each: [] for each in nodes}
    users: dict[str, list[str]] = {each: [] for each in parents}
    for first, second in edges:
        parents[second].append(first)
        users[first].append(second)
    left = {each: len(found) for each, found in parents.items()}
    ready = [each for each in parents if not left[each]]
    columns = dict.fromkeys(parents, 0)
    for each in ready:  # grows as it goes; what stands in a circle is never ready
        for user in users[each]:
            columns[user] = max(columns[user], columns[each] + 1)
            left[user] -= 1
            if not left[user]:
                ready.append(user)
    for each, found in parents.items():
        if not found and users[each]:
            columns[each] = max(0, min(columns[user] for user in users[each]) - 1)
    return columns


def _chain(pair: tuple[str, str], columns: Mapping[str, int]) -> list[tuple[int, str]]:
    """An edge as its ends with a bend in each column between them."""
    first, second = pair
    between = range(columns[first] + 1, columns[second])
    bends = [(column, f"{first}\n{second}\n{column}") for column in between]
    return [(columns[first], first), *bends, (columns[second], second)]


def _neighbours(links: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    near: dict[str, list[str]] = {}
    for first, second in links:
        near.setdefault(first, []).append(second)
        near.setdefault(second, []).append(first)
    return near


def _ordered(rows: list[list[str]], near: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The nodes of each column, those in the middle of their neighbours brought level with them."""
    best, fewest = [list(row) for row in rows], _crossings(rows, near)
    for sweep in range(_SWEEPS):
        there = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        for i in there:
            beside = rows[i - 1] if sweep % 2 == 0 else rows[i + 1]
            places = {each: place for place, each in enumerate(beside)}
            own = {each: place for place, each in enumerate(rows[i])}
            rows[i].sort(key=lambda each: _mean_place(near.get(each, ()), places, own[each]))
        if (count := _crossings(rows, near)) < fewest:
            best, fewest = [list(row) for row in rows], count
    return best


def _mean_place(near: Sequence[str], places: Mapping[str, int], own: float) -> float:
    found = [places[each] for each in near if each in places]
    return sum(found) / len(found) if found else own


def _crossings(rows: Sequence[Sequence[str]], near: Mapping[str, Sequence[str]]) -> int:
    """How many edges between neighbouring columns cross."""
    count = 0
    for first, second in pairwise(rows):
        places = {each: place for place, each in enumerate(second)}
        ends = [[places[n] for n in near.get(each, ()) if n in places] for each in first]
        for i, above in enumerate(ends):
            count += sum(a > b for below in ends[i + 1 :] for a in above for b in below)
    return count


def _middles(
    rows: Sequence[Sequence[str]],
    near: Mapping[str, Sequence[str]],
    heights: Mapping[str, float],
    gap: float,
) -> tuple[dict[str, float], float]:
    """Middles of all nodes: level with their neighbours as far as the order leaves room."""
    middles: dict[str, float] = {}
    for row in rows:
        at = 0.0
        for each in row:
            middles[each] = at + heights[each] / 2
            at += heights[each] + gap
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_mean_middle(near.get(each, ()), middles, middles[each]) for each in row]
            _settle(row, wanted, middles, heights, gap)
    top = min(middles[each] - heights[each] / 2 for each in middles) if middles else 0.0
    middles = {each: middle - top for each, middle in middles.items()}
    bottom = max((middles[each] + heights[each] / 2 for each in middles), default=0.0)
    return middles, bottom


def _mean_middle(near: Sequence[str], middles: Mapping[str, float], own: float) -> float:
    return sum(middles[each] for each in near) / len(near) if near else own


def _settle(
    row: Sequence[str],
    wanted: Sequence[float],
    middles: dict[str, float],
    heights: Mapping[str, float],
    gap: float,
) -> None:
    """Put a column where its nodes want to be: half from above, half from below, none touching."""
    down, up = list(wanted), list(wanted)
    for i in range(1, len(row)):
        least = (heights[row[i - 1]] + heights[row[i]]) / 2 + gap
        down[i] = max(down[i], down[i - 1] + least)
    for i in range(len(row) - 2, -1, -1):
        least = (heights[row[i + 1]] + heights[row[i]]) / 2 + gap
        up[i] = min(up[i], up[i + 1] - least)
    for each, first, second in zip(row, down, up, strict=True):
        middles[each] = (first + second) / 2
