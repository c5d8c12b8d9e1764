"""Sections on a search of values: how it went, what it found, by which data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from mergegraph.report.curves import Chart, Curve, Dot, chart
from mergegraph.report.figures import Table, figure, panels, sentence, table_figure
from mergegraph.report.markup import Markup, number
from mergegraph.report.page import Fact, Section
from mergegraph.report.scatter import scatter
from mergegraph.report.sections.genes import gene_figures, score_of, tip_of
from mergegraph.search.examining import Objective
from mergegraph.search.record import Evolved, Scores, Trial

_TOP = 10


def evolving_sections(found: Evolved) -> list[Section]:
    """The curve, the best trials, the front if there are several objectives, and the genes."""
    scored = [each for each in found.trials if _is_scored(each, found.objectives)]
    if not scored:
        told = "No trial has scores yet: nothing can be drawn."
        return [
            Section(
                "How it went", data_sentence(found.chosen_by, found.reported_by), [sentence(told)]
            )
        ]
    sections = [
        Section(
            "How it went",
            data_sentence(found.chosen_by, found.reported_by),
            [_curves(found, scored)],
        ),
        Section("The best trials", "", list(_best(found, scored))),
    ]
    if len(found.objectives) > 1:
        sections.insert(1, Section("What is given up for what", "", list(_fronts(found, scored))))
    if found.genes:
        sections.append(Section("What was varied", "", list(gene_figures(found, scored))))
    return sections


def data_sentence(chosen_by: str, reported_by: str) -> str:
    """Which data chose, and which reported."""
    if not reported_by:
        return f"Chosen by {chosen_by}. No other data has reported on what was chosen."
    if chosen_by == reported_by:
        told = f"Chosen by {chosen_by} and reported by the same data"
        return f"{told}: the reported scores are too good by as much as the search fitted them."
    return f"Chosen by {chosen_by}. Reported by {reported_by}, which the search never looked at."


def evolving_facts(found: Evolved) -> list[Fact]:
    """The numbers at the top."""
    failed = sum(each.problem is not None for each in found.trials)
    repeated = sum(each.repeats is not None for each in found.trials)
    facts = [Fact("trials", str(len(found.trials)), found.sampler)]
    more = [f"{repeated} repeated"] * bool(repeated) + [f"{failed} failed"] * bool(failed)
    facts.append(
        Fact("made and scored", str(len(found.trials) - failed - repeated), ", ".join(more))
    )
    first = found.objectives[0]
    scored = [
        each.scores[first.name]
        for each in found.trials
        if each.scores and first.name in each.scores
    ]
    if scored:
        facts.append(
            Fact(f"best {first.name}", number(first.best(scored)), "by the data that chose")
        )
    reported = [
        found.reported[n][first.name] for n in found.best if first.name in found.reported.get(n, {})
    ]
    if reported:
        facts.append(
            Fact(
                f"reported {first.name}", number(first.best(reported)), "by the data that reported"
            )
        )
    parents = [s[first.name] for s in found.parents.values() if first.name in s]
    if parents:
        facts.append(Fact("best parent", number(first.best(parents)), "by the data that chose"))
    return facts


def _is_scored(trial: Trial, objectives: Sequence[Objective]) -> bool:
    return trial.scores is not None and all(each.name in trial.scores for each in objectives)


def _curves(found: Evolved, scored: Sequence[Trial]) -> Markup:
    """Every trial as a dot, and the best so far as a line, for each objective."""
    pictures = []
    for objective in found.objectives:
        best, points = None, []
        for each in sorted(scored, key=lambda trial: trial.number):
            value = score_of(each, objective)
            best = value if best is None else objective.best((value, best))
            points.append((float(each.number), best))
        parents = [s[objective.name] for s in found.parents.values() if objective.name in s]
        marks = [(objective.best(parents), "best parent")] if parents else []
        dots = [
            Dot(
                each.number,
                score_of(each, objective),
                tip_of(each),
                "f1" if each.number in found.best else "pale",
                5 if each.number in found.best else 3.2,
            )
            for each in scored
        ]
        way = "lower is better" if objective.is_lower_better else "higher is better"
        curve = Curve("best so far", points, 0, is_step=True, style="bold")
        drawn = Chart(
            label=f"{objective.name} over the trials",
            across="trial",
            curves=[curve],
            dots=dots,
            marks=marks,
            up=f"{objective.name} ({way})",
            size=(980, 340) if len(found.objectives) == 1 else (450, 280),
        )
        pictures.append((objective.name, chart(drawn)))
    failed = sum(each.problem is not None for each in found.trials)
    about = "Each dot is a trial, the line the best so far; orange is what was chosen."
    about += f" {failed} trials failed and have no dot." if failed else ""
    tables = [_table("all trials", found, found.trials)]
    if len(pictures) == 1:
        return figure("Scores over the trials", about, pictures[0][1], tables=tables)
    named = [(name, "", picture) for name, picture in pictures]
    return panels("Scores over the trials", about, named, tables=tables, is_wide=True)


def _best(found: Evolved, scored: Sequence[Trial]) -> Iterator[Markup]:
    first = found.objectives[0]
    sign = 1 if first.is_lower_better else -1
    ranked = sorted(scored, key=lambda each: (sign * score_of(each, first), each.number))
    chosen = [each for each in ranked if each.number in found.best]
    others = [each for each in ranked if each.number not in found.best]
    shown = [*chosen, *others[: max(0, _TOP - len(chosen))]]
    table = _table(f"best by {found.chosen_by}", found, shown, marked=found.best)
    many = len(found.objectives) > 1
    about = (
        "Shaded: the trials that no other beats in every score." if many else "Shaded: the winner."
    )
    yield table_figure("The best trials", about, table)
    if found.reported:
        yield _reported(found)


def _reported(found: Evolved) -> Markup:
    """What data that did not choose says of the winners and of the parents."""
    rows: list[list[Any]] = []
    names = dict.fromkeys(
        name for s in (*found.reported.values(), *found.reported_parents.values()) for name in s
    )
    by_number = {each.number: each for each in found.trials}
    for n in sorted(found.reported):
        chosen = by_number[n].scores if n in by_number else None
        rows.append(
            [f"trial {n}", *_row(found, chosen), *(found.reported[n].get(k) for k in names)]
        )
    for name, scores in found.reported_parents.items():
        own = found.parents.get(name)
        rows.append([name, *_row(found, own), *(scores.get(k) for k in names)])
    columns = [
        "model",
        *(f"{each.name} (chose)" for each in found.objectives),
        *(f"{name} (reported)" for name in names),
    ]
    chosen_rows = range(len(found.reported))
    about = data_sentence(found.chosen_by, found.reported_by)
    table = Table("winners and parents", columns, rows, chosen=chosen_rows)
    return table_figure("What other data says of them", about, table)


def _row(found: Evolved, scores: Scores | None) -> list[float | None]:
    return [None if scores is None else scores.get(each.name) for each in found.objectives]


def _table(
    caption: str, found: Evolved, trials: Sequence[Trial], marked: Sequence[int] = ()
) -> Table:
    others = dict.fromkeys(
        name
        for each in trials
        for name in each.scores or ()
        if name not in {o.name for o in found.objectives}
    )
    names = [*(each.name for each in found.objectives), *others]
    genes = [each.name for each in found.genes]
    rows = [
        [
            f"{each.number}",
            *((each.scores or {}).get(name) for name in names),
            *(_plain(each.genes.get(gene)) for gene in genes),
            each.problem or (f"equal to {each.repeats}" if each.repeats is not None else ""),
        ]
        for each in trials
    ]
    columns = ["trial", *names, *genes, "remark"]
    chosen = [i for i, each in enumerate(trials) if each.number in marked]
    words = {columns.index(each.name) for each in found.genes if each.choices}
    return Table(caption, columns, rows, texts={0, len(columns) - 1, *words}, chosen=chosen)


def _plain(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number or value is None else str(value)


def _fronts(found: Evolved, scored: Sequence[Trial]) -> Iterator[Markup]:
    """Every pair of objectives as a plane."""
    pictures = []
    chosen = [each for each in scored if each.number in found.best]
    for first, second in combinations(found.objectives, 2):
        spots = [
            Dot(
                score_of(each, first),
                score_of(each, second),
                tip_of(each),
                "f1" if each in chosen else "pale",
                5 if each in chosen else 3.2,
                str(each.number) if each in chosen and len(chosen) <= _TOP else "",
            )
            for each in sorted(scored, key=lambda trial: trial in chosen)
        ]
        spots += [
            Dot(s[first.name], s[second.name], f"parent {name}", "f2", 4.5, name)
            for name, s in found.parents.items()
            if first.name in s and second.name in s
        ]
        front = sorted((score_of(each, first), score_of(each, second)) for each in chosen)
        ways = tuple(
            f"{each.name} ({'lower' if each.is_lower_better else 'higher'} is better)"
            for each in (first, second)
        )
        label = f"{second.name} against {first.name}: {len(scored)} trials"
        two = len(found.objectives) == 2  # noqa: PLR2004 - the one pair that there is
        picture = scatter(
            label,
            spots,
            (ways[0], ways[1]),
            front if two else (),
            (980, 420) if two else (310, 300),
        )
        pictures.append((f"{first.name} and {second.name}", "", picture))
    about = "Orange: trials that no other beats in every score. Green: parents."
    if len(pictures) == 1:
        yield figure("The Pareto front", about, pictures[0][2])
    else:
        yield panels("The Pareto front", about, pictures)
