"""The section on parameters: their values over the layers, as the recipe resolves them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergegraph.report.curves import Chart, Curve, chart
from mergegraph.report.figures import Table, beside, panels, sentence, table_figure
from mergegraph.report.gathering import Merge
from mergegraph.report.kinds import Spot, spot_of
from mergegraph.report.markup import Markup, number, shortened
from mergegraph.report.measuring import named_places
from mergegraph.report.page import Section
from mergegraph.report.palette import KINDS

TITLE = "Parameters over the layers"
_ABOUT = "The value that every parameter has for each layer, as gradients and filters come out."
_MOST = 8  # lines in a panel


@dataclass(frozen=True)
class Course:
    """The values of a parameter, of one model or of the merge, by where tensors stand."""

    parameter: str
    model: str | None
    values: Mapping[Spot, Any]

    @property
    def is_constant(self) -> bool:
        """Whether it is the same for all tensors."""
        return len(set(map(str, self.values.values()))) <= 1

    @property
    def is_numeric(self) -> bool:
        """Whether it can be drawn."""
        return all(isinstance(each, int | float) for each in self.values.values())


def parameters_section(merges: Sequence[Merge]) -> Section:
    """The schedule of parameters of every merge."""
    content: list[Markup] = []
    tables: list[Markup] = []
    for merge in merges:
        courses = list(courses_of(merge))
        content += _varying(merge, [c for c in courses if not c.is_constant])
        tables += _constant(merge, [c for c in courses if c.is_constant])
    content += [beside(*tables)] if tables else []
    if not content:
        content = [sentence("The methods of this recipe take no parameters here.")]
    return Section(TITLE, _ABOUT, content)


def courses_of(merge: Merge) -> Iterator[Course]:
    """Every parameter of a merge; one with a value for each model as a course for each."""
    names = named_places(merge)
    found: dict[tuple[str, str | None], dict[Spot, Any]] = {}
    for tensor, told in merge.merged:
        spot = spot_of(tensor)
        for parameter, value in told.values.items():
            own = parameter.rstrip("_")
            if isinstance(value, list | tuple) and len(value) == len(told.parts):
                for part, each in zip(told.parts, value, strict=True):
                    found.setdefault((own, part.source.model), {})[spot] = each
            else:
                found.setdefault((own, None), {})[spot] = value
    order = {name: place for place, name in enumerate(names)}
    for parameter, model in sorted(
        found, key=lambda k: (k[0], -1 if k[1] is None else order[k[1]])
    ):
        yield Course(parameter, model, found[parameter, model])


def _varying(merge: Merge, courses: Sequence[Course]) -> Iterator[Markup]:
    drawn = [each for each in _alike(courses) if each.is_numeric]
    if not drawn:
        return
    pictures = [
        (
            f"{each.parameter}{f' of {each.model}' if each.model else ''}",
            _outside(each),
            _picture(each, _scale(drawn, each.parameter)),
        )
        for each in drawn
    ]
    rows = [
        [each.parameter, each.model or "all", spot.kind, spot.layer, value]
        for each in courses
        for spot, value in each.values.items()
    ]
    table = Table("values", ["parameter", "model", "kind", "layer", "value"], rows, texts=(0, 1, 2))
    yield panels(f"Parameters of {merge.told}", "", pictures, tables=[table])


def _alike(courses: Sequence[Course]) -> list[Course]:
    """One course in place of those of all models, where they agree."""
    found: dict[str, list[Course]] = {}
    for each in courses:
        found.setdefault(each.parameter, []).append(each)
    made: list[Course] = []
    for parameter, own in found.items():
        is_one = len(own) > 1 and all(each.values == own[0].values for each in own)
        made += [Course(parameter, "all models", own[0].values)] if is_one else own
    return made


def _constant(merge: Merge, courses: Sequence[Course]) -> Iterator[Markup]:
    if not courses:
        return
    rows = [
        [each.parameter, each.model or "all", next(iter(each.values.values()), None)]
        for each in courses
    ]
    merged = _together(rows)
    title = f"Constant in {merge.told}"
    about = "These are the same for all tensors."
    yield table_figure(
        title, about, Table("values", ["parameter", "model", "value"], merged, texts=(0, 1))
    )


def _together(rows: Sequence[list[Any]]) -> list[list[Any]]:
    """One row in place of those of all models, where they agree."""
    found: dict[str, list[list[Any]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    made = []
    for parameter, own in found.items():
        alike = len({str(row[2]) for row in own}) == 1
        made += [[parameter, "all", own[0][2]]] if alike else own
    return [
        [p, m, v if isinstance(v, int | float) and not isinstance(v, bool) else str(v)]
        for p, m, v in made
    ]


def _scale(courses: Sequence[Course], parameter: str) -> list[float]:
    """All values of a parameter, so that its panels have one scale."""
    return [
        float(v) for each in courses if each.parameter == parameter for v in each.values.values()
    ]


def _picture(course: Course, values: Sequence[float]) -> Markup:
    """Kinds of tensors that have the same values are one line."""
    lines: dict[tuple[tuple[float, float], ...], list[str]] = {}
    kinds: dict[str, list[tuple[float, float]]] = {}
    layers = sorted({(s.stack, s.layer) for s in course.values if s.layer is not None})
    places = {layer: float(place) for place, layer in enumerate(layers)}
    for spot, value in course.values.items():
        if spot.layer is not None:
            kinds.setdefault(spot.kind, []).append((places[spot.stack, spot.layer], float(value)))
    for kind, points in kinds.items():
        lines.setdefault(tuple(sorted(points)), []).append(kind)
    curves = [
        Curve(_named(own, len(kinds)), points, i % KINDS, has_dots=len(points) <= 16)  # noqa: PLR2004
        for i, (points, own) in enumerate(list(lines.items())[:_MOST])
    ]
    drawn = Chart(
        label=f"{course.parameter} over the layers",
        across="layer",
        curves=curves,
        scale=values,
        size=(310, 190),
        names_ends=len(curves) > 1,
    )
    return chart(drawn)


def _named(kinds: Sequence[str], of: int) -> str:
    """Some kinds of tensors in few letters."""
    if len(kinds) == of:
        return "all kinds"
    if len(kinds) == 1:
        return shortened(kinds[0], 16)
    return f"{shortened(kinds[0], 12)} +{len(kinds) - 1}"


def _outside(course: Course) -> str:
    """The values of tensors outside of layers."""
    found = {s.kind: v for s, v in course.values.items() if s.layer is None}
    if not found or len({str(v) for v in found.values()}) > 3:  # noqa: PLR2004 - too many to tell
        return ""
    return ", ".join(f"{kind} {number(float(v))}" for kind, v in found.items())
