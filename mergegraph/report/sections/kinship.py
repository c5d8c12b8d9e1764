"""The section on kinship: how alike the models are, and how far from their base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import Any

from mergegraph.kinship import Kinship, TensorSums
from mergegraph.kinship.metrics import METRICS
from mergegraph.report.clustering import clustered
from mergegraph.report.figures import Table, beside, figure, panels, sentence
from mergegraph.report.grid import Grid
from mergegraph.report.heat import HALF, WIDE, Heat, oblong, square
from mergegraph.report.kin import drawn, over
from mergegraph.report.markup import Markup, joined, number, percent
from mergegraph.report.page import Section

TITLE = "Kinship of the models"
_FEW_PAIRS = 2
_FEW_MODELS, _FEW_LAYERS = 4, 12


def kinship_section(family: Kinship | None, why_not: str = "") -> Section:
    """How alike models are in what they changed of their base."""
    if family is None or not family.tensors:
        told = why_not or "No tensor could be compared with a base."
        return Section(TITLE, "", [sentence(told), *map(sentence, family.notes if family else ())])
    content: list[Markup] = []
    if len(family.names) >= _FEW_PAIRS:
        pair = [_matrix(family), *_by_place(family)]
        content.append(beside(*pair) if _is_small(family) else joined(pair))
    else:
        content.append(sentence("There is one model beside the base: nothing to compare it with."))
    content.append(_norms(family))
    content += map(sentence, family.notes)
    about = (
        f"What each model changed of {family.base}, compared entry by entry: "
        "models that changed the same way are kin."
    )
    return Section(TITLE, about, content)


def _is_small(family: Kinship) -> bool:
    """Whether both heat maps have room side by side."""
    return len(family.names) <= _FEW_MODELS and len(Grid(family.tensors).layers) <= _FEW_LAYERS


def matrix_figure(
    title: str,
    about: str,
    names: Sequence[str],
    matrix: Sequence[Sequence[float]],
    more: Sequence[Table] = (),
) -> Markup:
    """A matrix of kinship, with the tree that it makes if all of it is known."""
    tree = None
    if all(value == value for row in matrix for value in row):  # noqa: PLR0124 - not a number
        tree = clustered([[1 - value for value in row] for row in matrix])
    order = tree.leaves if tree else range(len(names))
    rows = [[names[i], *(matrix[i][j] for j in order)] for i in order]
    columns = ["model", *(names[j] for j in order)]
    heat = Heat(
        label=f"{title}, a heat map of {len(names)} models",
        rows=names,
        columns=names,
        values=matrix,
        ramp="both",
        ends=(-1.0, 1.0),
        told=two_digits,
    )
    return figure(
        title, about, square(heat, tree), tables=[Table("correlations", columns, rows), *more]
    )


def two_digits(value: float) -> str:
    """A correlation as it is written in a cell."""
    told = f"{value:.2f}"
    return "0" if told in ("0.00", "-0.00") else told.replace("-", "−")


def _matrix(family: Kinship) -> Markup:
    found = drawn(family)
    about = "Pearson correlation r of the differences from the base, over all tensors together. "
    if len(family.names) > _FEW_PAIRS:
        near, far = (_extreme(family, highest=highest) for highest in (True, False))
        about += f"Nearest: {near}. Farthest: {far}. "
        about += "Branches of the tree join at the mean 1 − r of their models."
    else:
        about += _extreme(family, highest=True)
    return matrix_figure("Kinship", about, family.names, found, [_pairs(family)])


def _pairs(family: Kinship) -> Table:
    """Every pair with all measures, the nearest first."""
    rows: list[list[Any]] = []
    for i, j in combinations(range(len(family.names)), 2):
        measures = [family.pair(i, j, metric) for metric in METRICS]
        agreement = family.signs(i, j).agreement
        rows.append([f"{family.names[i]} · {family.names[j]}", *measures, agreement])
    rows.sort(key=lambda row: -2.0 if row[1] is None else row[1], reverse=True)
    columns = ["pair", "Pearson", "cosine", "distance", "same sign where both changed"]
    return Table("pairs", columns, rows)


def _extreme(family: Kinship, *, highest: bool) -> str:
    """The two models that are most alike, or least."""
    found = [
        (value, i, j)
        for i, j in combinations(range(len(family.names)), 2)
        if (value := family.pair(i, j)) is not None
    ]
    if not found:
        return "no two models that changed anything"
    value, i, j = max(found) if highest else min(found)
    return f"{family.names[i]} and {family.names[j]}, {two_digits(value)}"


def _by_place(family: Kinship) -> Iterator[Markup]:
    """The mean kinship of all pairs for each layer and kind."""
    grid = Grid(family.tensors)
    if not grid.kinds:
        return
    values = grid.values(lambda tensors: over(family, tensors).group())
    end = max([0.1, *(abs(v) for row in values for v in row if v is not None)])
    heat = Heat(
        label="Mean kinship of all pairs by layer and kind of tensor",
        rows=grid.kinds,
        columns=grid.names,
        values=values,
        ramp="both",
        ends=(-end, end),
        told=two_digits,
        across="layer",
    )
    about = "Mean correlation of all pairs of models, for each kind of tensor and layer by itself."
    yield figure(
        "Kinship by layer",
        about,
        oblong(heat, HALF if _is_small(family) else WIDE),
        tables=[grid.table("mean correlation", values)],
    )


def _norms(family: Kinship) -> Markup:
    """How far each model is from the base, by layer and kind."""
    grid = Grid(family.tensors)
    pictures, rows = [], []
    shown = [grid.values(partial(_relative, family, i)) for i in range(len(family.names))]
    largest = max([v for of in shown for row in of for v in row if v is not None], default=0.0)
    for i, (name, values) in enumerate(zip(family.names, shown, strict=True)):
        norm, share = family.norms.changes[i], family.norms.relative[i]
        more = f"‖δ‖ = {number(norm)}, {'–' if share is None else percent(share)} of the base"
        heat = Heat(
            label=f"How far {name} is from the base by layer and kind of tensor",
            rows=grid.kinds,
            columns=grid.names,
            values=values,
            ramp="cool",
            ends=(0.0, largest or 1.0),
            told=percent,
            across="layer",
        )
        if grid.kinds:
            pictures.append((name, more, oblong(heat, HALF if len(family.names) > 1 else WIDE)))
        for each in family.tensors:
            length = over(family, [each]).norms.changes[i]
            rows.append([f"{name}: {each.name}", length, _relative(family, i, [each])])
    about = "Length of each difference, ‖δ‖, as a share of the length of the base's own tensors."
    table = Table("lengths by tensor", ["model: tensor", "‖δ‖", "of the base's"], rows)
    return panels("How far from the base", about, pictures, tables=[table], is_wide=True)


def _relative(family: Kinship, model: int, tensors: Sequence[TensorSums]) -> float | None:
    """The length of a difference as a share of the base's, over some tensors."""
    return over(family, tensors).norms.relative[model]
