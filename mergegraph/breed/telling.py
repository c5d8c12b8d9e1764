"""What a search has to say: a line for each thing that comes, tables and sentences at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import correlation, fmean

from mergegraph.breed.members import Birth
from mergegraph.breed.scoring import Scored
from mergegraph.breed.topk import EARLY, LAST, SAME, Generation
from mergegraph.search.examining import Objective
from mergegraph.search.record import Bred, Member
from mergegraph.search.record import Generation as Written

_FEWEST = 4  # pairs of numbers whose correlation says something


def member_line(birth: Birth, scored: Scored, objective: Objective, gain: float | None) -> str:
    """What came of a member."""
    parents = f" = {' × '.join(birth.parents)}" if birth.parents else ""
    explores = ", exploring" if birth.explores else ""
    if scored.scores is None:
        return f"  {birth.name}{parents}: left out: {scored.problem}"
    told = f"{objective.name} {objective.of(scored.scores):.4g}"
    change = "" if gain is None else f" ({gain:+.4g})"
    return f"  {birth.name}{parents}: {told}{change}{explores}"


def generation_line(generation: Generation, objective: Objective) -> Iterator[str]:
    """What came of a generation."""
    if not generation.top:
        return
    best = generation.top[0]
    sign = -1 if objective.is_lower_better else 1
    kinship = "" if generation.kinship is None else f", kinship of the top {generation.kinship:.3f}"
    told = f"the best is {best.name} with {objective.name} {sign * best.score:.4g}{kinship}"
    name = f"generation {generation.number}" if generation.number else "the models"
    yield f"{name}: {told}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lines of cells, the words of the first column on the left, figures on the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines)


def members_table(record: Bred) -> str:
    """Every member with its parents, their kinship, its score, and what it gained."""
    objective = record.objectives[0]
    name = objective.name
    reported = record.reported
    rows = [["member", "parents", "kinship", name, "gain", *(["reported"] if reported else [])]]
    for each in record.members:
        scores = each.scores
        row = [
            each.name + (" *" if each.name == record.best else ""),
            " × ".join(each.parents),
            _figure(each.kinship, ".3f"),
            "none" if scores is None else _figure(scores.get(name), ".4g"),
            _figure(each.gain, "+.4g"),
        ]
        if reported:
            row.append(_figure(reported.get(each.name, {}).get(name), ".4g"))
        rows.append(row)
    return table(rows)


def summary(record: Bred) -> Iterator[str]:
    """Sentences on what a search came to."""
    if record.ingredients:
        count = len(record.order)
        yield f"{len(record.ingredients)} of {count} models are in the soup: " + ", ".join(
            record.ingredients
        )
    else:
        yield _why(record, record.generations[-1])
    if failed := [each for each in record.members if each.scores is None]:
        yield f"{len(failed)} merges were left out: {failed[0].name} {failed[0].problem}"
    gains = [each.gain for each in record.members if each.gain is not None]
    if gains:
        up = sum(each > 0 for each in gains)
        yield (
            f"{up} of {len(gains)} merges are better than their parents on average; "
            f"the mean gain is {fmean(gains):+.4g}"
        )
    if (found := kinship_and_gain(record.members)) is not None:
        yield f"the correlation of kinship with gain is {found:.2f}"
    yield from _reported(record)


def kinship_and_gain(members: Sequence[Member]) -> float | None:
    """How kinship of parents and gain go together; None where too little is known."""
    told = [
        (each.kinship, each.gain)
        for each in members
        if each.kinship is not None and each.gain is not None
    ]
    kinships, gains = [a for a, _ in told], [b for _, b in told]
    if len(told) < _FEWEST or len(set(kinships)) == 1 or len(set(gains)) == 1:
        return None
    return correlation(kinships, gains)


def _why(record: Bred, last: Written) -> str:
    number = last.number
    if last.stopped == EARLY:
        bound = record.early_stop
        saved = left_out(record)
        told = f"{saved} further merges of the next generation" if saved else "what would follow"
        fact = f"the kinship of the top, {last.kinship:.3f}, has passed {bound:g}"
        return f"stopped early after generation {number}: {fact}; {told} not made"
    if last.stopped == SAME:
        return f"stopped after generation {number}: it left the top as it was"
    if last.stopped == LAST:
        return f"stopped after generation {number}, the last that was asked for"
    return f"generation {number} is done"


def left_out(record: Bred) -> int:
    """How many merges the generation after the last would have begun with."""
    merged = {frozenset(each.parents) for each in record.members}
    top = record.generations[-1].top
    pairs = {frozenset((a, b)) for a in top for b in top if a != b}
    return len(pairs - merged) + bool(record.explore)


def _reported(record: Bred) -> Iterator[str]:
    reported, best = record.reported, record.best
    if best is None or best not in reported:
        return
    objective = record.objectives[0]
    name, sign = objective.name, -1 if objective.is_lower_better else 1
    if any(name not in each for each in reported.values()):
        return
    others = {n: each[name] for n, each in reported.items() if n != best}
    told = f"{record.reported_by}: {best} has {name} {reported[best][name]:.4g}"
    if others:
        second = max(others, key=lambda each: sign * others[each])
        told += f", the best of the models it began with, {second}, {others[second]:.4g}"
    yield told


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
