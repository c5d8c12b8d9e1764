"""The section on what merges keep: where changes disagree in sign, and what is pruned of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from mergegraph.report.curves import Chart, Curve, chart
from mergegraph.report.drawing import key
from mergegraph.report.figures import Table, figure, panels, sentence
from mergegraph.report.gathering import Merge
from mergegraph.report.grid import Grid
from mergegraph.report.heat import HALF, Heat, oblong
from mergegraph.report.markup import Markup, percent
from mergegraph.report.measuring import Kept, Measured, named_places
from mergegraph.report.page import Section
from mergegraph.report.palette import KINDS

_Of = tuple[Merge, Sequence[Kept]]
TITLE = "Where changes disagree, and what is kept"
_ABOUT = (
    "Where one model raises a weight and another lowers it, an average keeps little of either. "
    "Methods that prune give up small changes to have fewer such conflicts."
)


def keeping_section(
    merges: Sequence[Merge], measured: Measured | None, why_not: str = ""
) -> Section:
    """Sign conflicts of each merge, and the share of entries that it keeps."""
    if measured is None:
        return Section(TITLE, "", [sentence(why_not)])
    found = [(merge, measured.kept.get(i, ())) for i, merge in enumerate(merges)]
    compared = [each for each in found if any(k.conflicts is not None for k in each[1])]
    pruning = [each for each in found if any(k.pruned for k in each[1])]
    content = [_conflicts(compared)] if compared else []
    content += [_shares(merge, [k for k in kept if k.pruned]) for merge, kept in pruning]
    content += map(sentence, _silent(found, compared, pruning))
    return Section(TITLE, _ABOUT if compared or pruning else "", content)


def _silent(found: Sequence[_Of], compared: Sequence[_Of], pruning: Sequence[_Of]) -> Iterator[str]:
    """What is said of merges of which nothing is drawn."""
    if whole := [merge.told for merge, _ in compared if all(merge is not m for m, _ in pruning)]:
        told = "prunes" if len(whole) == 1 else "prune"
        yield f"{_listed(whole)} {told} no entry of a change: all of them take part."
    shown = [merge for merge, _ in (*compared, *pruning)]
    if apart := [merge.told for merge, _ in found if all(merge is not each for each in shown)]:
        told = "does" if len(apart) == 1 else "do"
        yield f"{_listed(apart)} {told} not merge several models by what they changed of a base."


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def conflict_rate(kept: Sequence[Kept]) -> float | None:
    """The share of entries at which two changes or more have different signs."""
    known = [each for each in kept if each.conflicts is not None]
    return _share(sum(k.conflicts or 0 for k in known), sum(k.numel for k in known))


def kept_rate(kept: Sequence[Kept], model: int | None = None) -> float | None:
    """The share of changed entries that are left after pruning, of one model or of all."""
    pairs = [
        pair
        for each in kept
        for place, pair in each.pruned.items()
        if model is None or place == model
    ]
    return _share(sum(after for _, after in pairs), sum(before for before, _ in pairs))


def _rate_after(kept: Sequence[Kept]) -> float | None:
    known = [each for each in kept if each.conflicts_after is not None]
    return _share(sum(k.conflicts_after or 0 for k in known), sum(k.numel for k in known))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _conflicts(found: Sequence[_Of]) -> Markup:
    """A heat map for each merge, and for those that prune one of what is left."""
    shown: list[tuple[str, float, Grid[Kept], list[list[float | None]]]] = []
    rows = []
    for merge, kept in found:
        grid = Grid([each for each in kept if each.conflicts is not None])
        before, after = conflict_rate(kept), _rate_after(kept)
        what = merge.told if after is None else f"{merge.told}, all changes"
        shown.append((what, before or 0.0, grid, grid.values(conflict_rate)))
        if after is not None:
            pruned = grid.values(_rate_after)
            shown.append((f"{merge.told}, after pruning", after, grid, pruned))
        rows += [_row(merge, each) for each in grid.items]
    ends = (0.0, max([0.01, *(v for *_, of in shown for row in of for v in row if v is not None)]))
    pictures = [
        (what, f"{percent(rate)} of entries", _heat(grid, values, ends))
        for what, rate, grid, values in shown
        if grid.kinds
    ]
    about = "The share of entries at which at least two models changed a weight in opposite ways."
    columns = ["merge: tensor", "entries", "conflicts", "changed by two or more", "after pruning"]
    table = Table("sign conflicts by tensor", columns, rows)
    return panels("Sign conflicts", about, pictures, tables=[table], is_wide=True)


def _row(merge: Merge, each: Kept) -> list[object]:
    contested = _share(each.contested or 0, each.numel)
    rates = [conflict_rate([each]), contested, _rate_after([each])]
    return [f"{merge.name}: {each.name}", each.numel, *rates]


def _heat(
    grid: Grid[Kept], values: Sequence[Sequence[float | None]], ends: tuple[float, float]
) -> Markup:
    heat = Heat(
        label="Share of entries with sign conflicts by layer and kind of tensor",
        rows=grid.kinds,
        columns=grid.names,
        values=values,
        ramp="warm",
        ends=ends,
        told=percent,
        across="layer",
    )
    return oblong(heat, HALF)


def _shares(merge: Merge, kept: Sequence[Kept]) -> Markup:
    """The share of changed entries kept in each layer, a line for each model."""
    grid = Grid(kept)
    names = named_places(merge)
    models = sorted({place for each in kept for place in each.pruned})
    curves = []
    for model in models:
        found = grid.by_layer(partial(kept_rate, model=model))
        points = [(float(i), 100 * v) for i, v in enumerate(found) if v is not None]
        if points:
            curves.append(Curve(names[model], points, model % KINDS, has_dots=len(points) <= 40))  # noqa: PLR2004
    told = ", ".join(f"{names[m]} {percent(kept_rate(kept, m) or 0)}" for m in models)
    rows = [
        [
            each.name,
            *(_share(*reversed(each.pruned[m])) if m in each.pruned else None for m in models),
        ]
        for each in kept
    ]
    drawn = Chart(
        label=f"Share of changed entries kept in each layer of {merge.name}",
        across="layer",
        curves=curves,
        up="% of changed entries kept",
        zero=True,
        size=(980, 240),
    )
    picture = chart(drawn)
    return figure(
        f"What {merge.told} keeps",
        f"The share of changed entries that pruning leaves. In all: {told}.",
        picture,
        key=key([(curve.name, curve.kind) for curve in curves], is_line=True),
        tables=[Table("share kept by tensor", ["tensor", *(names[m] for m in models)], rows)],
    )
