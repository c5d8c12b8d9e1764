"""Kinship in words: tables of pairs, norms and signs, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from mergegraph.kinship.metrics import METRICS, Sums
from mergegraph.kinship.values import GLOBAL, Kinship, norms, signs

NAMES = {"pcc": "Pearson correlation", "cosine": "cosine", "euclidean": "Euclidean distance"}
BY = ("total", "layer", "kind", "tensor")
_NONE = "–"


def text_of(kinship: Kinship, *, metric: str, aggregate: str = GLOBAL, by: str = BY[0]) -> str:
    """All that is measured in one metric, as text."""
    parts = [
        _heading(kinship, metric, aggregate),
        _legend(kinship),
        _square(kinship, metric, aggregate),
    ]
    if by != BY[0]:
        sums = {"layer": kinship.layers, "kind": kinship.kinds}.get(by)
        named = {each.name: each.sums for each in kinship.tensors} if sums is None else sums
        parts.append(_parts(by, named, metric))
    return "\n\n".join("\n".join(each) for each in map(list, parts))


def _heading(kinship: Kinship, metric: str, aggregate: str) -> Iterator[str]:
    how = "of all entries together" if aggregate == GLOBAL else "averaged over tensors by size"
    count = f"{len(kinship.tensors)} tensors, {kinship.total.entries} entries"
    yield f"{NAMES[metric]} of the changes to {kinship.base}, {how} ({count})"
    if metric == "euclidean" and aggregate != GLOBAL:
        yield "a mean of the distances of tensors is not the distance of the models"


def _legend(kinship: Kinship) -> Iterable[str]:
    """Each model with its number, how far it is from the base, and how much of it is changed."""
    found, entries = kinship.norms, max(1, kinship.total.entries)
    rows = [["", "model", "‖δ‖", "‖δ‖/‖base‖", "entries changed"]]
    for i, name in enumerate(kinship.names):
        changed = kinship.total.same[i][i] / entries
        row = [_number(found.changes[i]), _number(found.relative[i]), f"{changed:.1%}"]
        rows.append([str(i + 1), name, *row])
    return _aligned(rows, left=(1,))


def _square(kinship: Kinship, metric: str, aggregate: str) -> Iterator[str]:
    """The kinship of every pair, their mean, and how often signs agree."""
    count = range(len(kinship.names))
    matrix = kinship.matrix(metric, aggregate=aggregate)
    numbers = [str(i + 1) for i in count]
    rows = [["", *numbers], *([numbers[i], *map(_number, matrix[i])] for i in count)]
    yield from _aligned(rows)
    if len(count) > 1:
        mean = kinship.group(metric, aggregate=aggregate)
        yield ""
        yield f"mean of the pairs: {_number(mean)}"
        yield ""
        yield from _signs(kinship)


def _signs(kinship: Kinship) -> Iterable[str]:
    rows = [["pair", "changed by both", "same sign", "opposite sign", "agreement"]]
    for i, j in combinations(range(len(kinship.names)), 2):
        found = kinship.signs(i, j)
        shares = (found.same + found.opposite, found.same, found.opposite, found.agreement)
        rows.append([_pair(i, j), *(_NONE if each is None else f"{each:.1%}" for each in shares)])
    return _aligned(rows)


def _parts(by: str, parts: Mapping[str, Sums], metric: str) -> Iterable[str]:
    """A row for each part: kinship of every pair, then how far each model is from the base."""
    if not parts:
        return [f"no tensor is of a {by}"]
    count = len(next(iter(parts.values())).sums)
    pairs = list(combinations(range(count), 2))
    heads = [_pair(i, j) for i, j in pairs] + [f"‖δ{i + 1}‖/‖base‖" for i in range(count)]
    rows = [[by, "entries", *heads, *(f"{_pair(i, j)} agree" for i, j in pairs)]]
    for name, sums in parts.items():
        likeness = [_number(METRICS[metric](sums, i, j)) for i, j in pairs]
        agreement = [signs(sums, i, j).agreement for i, j in pairs]
        rows.append(
            [
                name,
                str(sums.entries),
                *likeness,
                *map(_number, norms(sums).relative),
                *(_NONE if each is None else f"{each:.1%}" for each in agreement),
            ]
        )
    return _aligned(rows, left=(0,))


def _pair(i: int, j: int) -> str:
    return f"{i + 1}·{j + 1}"


def _number(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"  # noqa: PLR2004 - digits shown


def _aligned(rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> list[str]:
    """Rows as columns of one width, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
