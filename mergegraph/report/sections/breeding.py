"""Sections on breeding: generations with their scores, and how alike they become."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mergegraph.report.curves import Chart, Curve, Dot, chart
from mergegraph.report.figures import Table, figure, sentence, table_figure
from mergegraph.report.graphs import Edge, Node, graph
from mergegraph.report.markup import Markup, number
from mergegraph.report.page import Fact, Section
from mergegraph.report.sections.evolving import data_sentence
from mergegraph.report.sections.kinship import matrix_figure, two_digits
from mergegraph.search.record import Bred, Kinships, Member

_MOST = 60  # members that are drawn in a tree


def breeding_sections(found: Bred) -> list[Section]:
    """Scores over generations, kinship over generations, the tree and the matrix."""
    about = data_sentence(found.chosen_by, found.reported_by)
    if found.ingredients:
        return [
            Section("What was tried", about, [_tries(found)]),
            Section("All models", "", [_members(found)]),
        ]
    return [
        Section("Scores over the generations", about, list(_scores(found))),
        Section("Kinship over the generations", "", list(_kinship(found))),
        Section("Family tree", "", [_tree(found)]),
        Section("All models", "", [_members(found)]),
    ]


def breeding_facts(found: Bred) -> list[Fact]:
    """The numbers at the top."""
    first = found.objectives[0]
    made = [each for each in found.members if each.parents]
    ended = next((g.stopped for g in reversed(found.generations) if g.stopped), "")
    last = max((each.number for each in found.generations), default=0)  # the first is number 0
    facts = [
        Fact("generations", str(last), f"ended by {ended}" if ended else ""),
        Fact("merges", str(len(made)), f"{sum(m.explores for m in made)} to explore"),
    ]
    if found.ingredients:
        facts = [Fact("models in the soup", str(len(found.ingredients)), f"of {len(found.order)}")]
    begun = [m.known[first.name] for m in found.members if not m.parents and first.name in m.known]
    best = next((m for m in found.members if m.name == found.best), None)
    if best is not None and first.name in best.known:
        facts.append(
            Fact(f"best {first.name}", number(best.known[first.name]), "by the data that chose")
        )
    if found.best and first.name in found.reported.get(found.best, {}):
        told = number(found.reported[found.best][first.name])
        facts.append(Fact(f"reported {first.name}", told, "by the data that reported"))
    if begun:
        facts.append(Fact("best at the start", number(first.best(begun)), "by the data that chose"))
    return facts


def _scores(found: Bred) -> Iterator[Markup]:
    for objective in found.objectives:
        name = objective.name
        scored = [each for each in found.members if name in each.known]
        if not scored:
            yield sentence(f"No model has a score called {name} yet.")
            continue
        by_name = {each.name: each for each in scored}
        best, tops, points = None, [], []
        for number_ in sorted({each.generation for each in scored}):
            own = objective.best(m.known[name] for m in scored if m.generation == number_)
            best = own if best is None else objective.best((own, best))
            points.append((float(number_), best))
        for generation in found.generations:
            top = [by_name[each].known[name] for each in generation.top if each in by_name]
            if top:
                tops.append((float(generation.number), sum(top) / len(top)))
        dots = [
            Dot(
                m.generation,
                m.known[name],
                _tip(m),
                _style(m, found),
                5 if m.name == found.best else 3.8,
            )
            for m in scored
        ]
        curves = [
            Curve("best so far", points, 0, style="bold"),
            Curve("mean of the top", tops, 2),
        ]
        way = "lower is better" if objective.is_lower_better else "higher is better"
        drawn = Chart(
            label=f"{name} over the generations",
            across="generation",
            curves=[curve for curve in curves if curve.points],
            dots=dots,
            up=f"{name} ({way})",
            size=(980, 330),
            names_ends=True,
        )
        about = "Each dot is a model: grey, made to gain; purple, to explore; orange, the best."
        yield figure(f"{name} over the generations", about, chart(drawn))


def _tries(found: Bred) -> Markup:
    """The models of a soup as they were tried, with what the average then scored."""
    objective = found.objectives[0]
    first = {each.name: each for each in found.members}[found.order[0]]
    at = first.known.get(objective.name)
    points = [] if at is None else [(0.0, at)]
    dots = [Dot(x, y, f"{first.name} alone", "f1", 5) for x, y in points]
    for i, each in enumerate(found.tries, start=1):
        if each.score is not None:
            style, told = ("f1", "taken") if each.accepted else ("pale", "not taken")
            tip = f"{each.candidate}: {told}\n{objective.name} {number(each.score)}"
            dots.append(Dot(i, each.score, tip, style, 5))
        if each.score is not None and each.accepted:
            points.append((float(i), each.score))
    points += [(float(len(found.tries)), points[-1][1])] if points else []
    rows: list[list[Any]] = [[first.name, "first", at]]
    rows += [[t.candidate, "taken" if t.accepted else "not taken", t.score] for t in found.tries]
    drawn = Chart(
        label=f"{objective.name} of the soup as models are tried",
        across="models tried after the first",
        curves=[Curve("the soup", points, 0, is_step=True, style="bold")],
        dots=dots,
        up=objective.name,
        size=(980, 300),
    )
    columns = ["model", "", f"{objective.name} of the soup with it"]
    about = (
        "Orange: a model that was taken in, with the score of the average; grey: one that was not."
    )
    table = Table("tries", columns, rows, texts=(0, 1))
    return figure("The soup", about, chart(drawn), tables=[table])


def _kinship(found: Bred) -> Iterator[Markup]:
    points = [(float(g.number), g.kinship) for g in found.generations if g.kinship is not None]
    if points:
        bound = found.early_stop
        marks = [] if bound is None else [(bound, f"{number(bound)}: early stop")]
        drawn = Chart(
            label="Mean kinship of the top set in each generation",
            across="generation",
            curves=[Curve("mean kinship of the top set", points, 0, has_dots=True)],
            marks=marks,
            up=f"mean kinship of the top set ({found.kinship.metric if found.kinship else ''})",
            size=(980, 260),
        )
        rows = [
            [str(g.number), g.kinship, ", ".join(g.new), ", ".join(g.top), g.stopped or ""]
            for g in found.generations
        ]
        columns = ["generation", "kinship of the top", "new", "top", "ended"]
        about = "Models that are much alike have little to give each other. "
        about += "Once the mean has passed the line, the search stops." if marks else ""
        yield figure(
            "Kinship of the top set",
            about,
            chart(drawn),
            tables=[Table("generations", columns, rows, texts=(0, 2, 3, 4))],
        )
    if found.kinship and len(found.kinship.names) > 1:
        about = f"By {found.kinship.metric} of what each model changed of {found.base}."
        matrix = _whole(found.kinship)
        if any(value != value for row in matrix for value in row):  # noqa: PLR0124 - not a number
            about += " Grey: not measured, as nothing depended on it."
        yield matrix_figure("Kinship of all models", about, found.kinship.names, matrix)
    elif not points:
        yield sentence("No kinship was measured in this search.")


def _whole(kinships: Kinships) -> list[list[float]]:
    """The matrix with what a model is to itself, and no number where kinship is undefined."""
    return [
        [1.0 if i == j else float("nan") if v is None else v for j, v in enumerate(row)]
        for i, row in enumerate(kinships.matrix)
    ]


def _tree(found: Bred) -> Markup:
    """Who was made of whom, generation by generation."""
    shown = _shown(found)
    first = found.objectives[0].name
    nodes = []
    for each in shown:
        lines = [each.name]
        score = each.known.get(first)
        told = [] if score is None else [f"{first} {number(score)}"]
        told += [] if each.gain is None else [f"gain {_signed(each.gain)}"]
        lines += [" · ".join(told)] if told else []
        if each.kinship is not None:
            lines.append(f"kinship of parents {two_digits(each.kinship)}")
        style = "result" if each.name == found.best else "merge" if each.parents else ""
        if each.explores:
            style += " explorer"
        nodes.append(Node(each.name, lines, style, column=each.generation))
    known = {each.name for each in shown}
    edges = [
        Edge(p, each.name, is_dashed=each.explores)
        for each in shown
        for p in each.parents
        if p in known
    ]
    last = max((each.generation for each in shown), default=0)
    heads = [f"generation {i}" if i else "the start" for i in range(last + 1)]
    about = "Left to right by generation; dashed arrows: made to explore."
    if len(shown) < len(found.members):
        about += f" Shown are the {len(shown)} models that the last top set stands on."
    picture = graph(f"Family tree of {len(shown)} models", nodes, edges, heads)
    return figure("Family tree", about, picture)


def _shown(found: Bred) -> list[Member]:
    """All members, or of very many those that the last top set and the best stand on."""
    members = list({each.name: each for each in found.members}.values())
    if len(members) <= _MOST:
        return members
    by_name = {each.name: each for each in members}
    top = found.generations[-1].top if found.generations else ()
    left, kept = [*([found.best] if found.best else ()), *top], set()
    while left:
        name = left.pop()
        if name in by_name and name not in kept:
            kept.add(name)
            left += by_name[name].parents
    return [each for each in members if each.name in kept][: 2 * _MOST]


def _members(found: Bred) -> Markup:
    scores = list(dict.fromkeys(name for each in found.members for name in each.known))
    reported = list(dict.fromkeys(name for s in found.reported.values() for name in s))
    rows = [
        [
            each.name,
            str(each.generation),
            ", ".join(each.parents),
            "explores" if each.explores else "",
            *(each.known.get(name) for name in scores),
            each.gain,
            each.kinship,
            *(found.reported.get(each.name, {}).get(name) for name in reported),
        ]
        for each in found.members
    ]
    columns = ["model", "generation", "parents", "", *(f"{n} (chose)" for n in scores)]
    columns += ["gain", "kinship of parents", *(f"{n} (reported)" for n in reported)]
    chosen = [i for i, each in enumerate(found.members) if each.name == found.best]
    table = Table("models", columns, rows, texts=(0, 1, 2, 3), chosen=chosen)
    return table_figure(
        "All models", "Shaded: the best. Gain: over the mean of the parents.", table
    )


def _style(member: Member, found: Bred) -> str:
    return "f1" if member.name == found.best else "f3" if member.explores else "pale"


def _signed(value: float) -> str:
    return number(value) if value < 0 else f"+{number(value)}"


def _tip(member: Member) -> str:
    told = [member.name, *(f"{name} {number(value)}" for name, value in member.known.items())]
    told += [f"of {', '.join(member.parents)}"] if member.parents else []
    told += [f"gain {_signed(member.gain)}"] if member.gain is not None else []
    return "\n".join(told)
