"""Genes: what a search varied, as lines over all of them and as dots over the trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mergegraph.report.curves import Chart, Dot, chart
from mergegraph.report.figures import figure, panels
from mergegraph.report.markup import Markup, number
from mergegraph.report.palette import step_of
from mergegraph.report.scatter import PALE, Pillar, parallel
from mergegraph.search.examining import Objective
from mergegraph.search.record import Evolved, Gene, Trial

_MOST_PANELS = 12


def score_of(trial: Trial, objective: Objective) -> float:
    """The score of a trial that has one."""
    assert trial.scores is not None, "only trials with scores are drawn"
    return trial.scores[objective.name]


def gene_figures(found: Evolved, scored: Sequence[Trial]) -> Iterator[Markup]:
    """Every gene of every trial with its score, and each gene over the trials."""
    objective = found.objectives[0]
    ranks = [_rank(each, objective) for each in scored]
    chosen = [i for i, each in enumerate(scored) if each.number in found.best]
    label = f"{len(found.genes)} genes of {len(scored)} trials"
    pillars = [*gene_pillars(found, scored), score_pillar(objective, scored)]
    picture = parallel(label, pillars, ranks, chosen, lambda i: tip_of(scored[i]))
    about = "Each line is a trial, stronger the better its score; orange is what was chosen."
    yield figure("Genes and scores", about, picture)
    numeric = [gene for gene in found.genes if is_numeric(gene, scored)][:_MOST_PANELS]
    if numeric:
        yield panels(
            "Genes over the trials",
            "Where the search looked; stronger colours score better.",
            [(gene.name, "", _over_trials(gene, scored, ranks, chosen)) for gene in numeric],
        )


def gene_pillars(found: Evolved, scored: Sequence[Trial]) -> list[Pillar]:
    """An axis for each gene; trials in which it had no say have no place on it."""
    return [_pillar(gene, scored) for gene in found.genes]


def score_pillar(objective: Objective, scored: Sequence[Trial]) -> Pillar:
    """The axis of the score, the best on top."""
    ranks = [_rank(each, objective) for each in scored]
    shares = [_share(each, min(ranks), max(ranks)) for each in ranks]
    worst, best = (scored[ranks.index(end)] for end in (min(ranks), max(ranks)))
    ends = (number(score_of(worst, objective)), number(score_of(best, objective)))
    return Pillar(objective.name, shares, ends)


def is_numeric(gene: Gene, scored: Sequence[Trial]) -> bool:
    """Whether a gene has values that are numbers, wherever it has a say."""
    known = [each.genes[gene.name] for each in scored if each.genes.get(gene.name) is not None]
    return bool(known and not gene.choices) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in known
    )


def _rank(trial: Trial, objective: Objective) -> float:
    """The score so that more is better."""
    return -score_of(trial, objective) if objective.is_lower_better else score_of(trial, objective)


def _over_trials(
    gene: Gene, scored: Sequence[Trial], ranks: Sequence[float], chosen: Sequence[int]
) -> Markup:
    low, high = min(ranks), max(ranks)
    dots = []
    for i, each in enumerate(scored):
        if (value := each.genes.get(gene.name)) is not None:
            style = "f1" if i in chosen else f"cool{max(PALE, step_of(ranks[i], low, high))}"
            size = 4.5 if i in chosen else 3.5
            dots.append(Dot(each.number, float(value), tip_of(each), style, size))
    scale = [v for v in (gene.low, gene.high) if v is not None]
    label = f"{gene.name} over the trials"
    return chart(Chart(label=label, across="trial", dots=dots, scale=scale, size=(310, 190)))


def _pillar(gene: Gene, scored: Sequence[Trial]) -> Pillar:
    values = [each.genes.get(gene.name) for each in scored]
    known = [each for each in values if each is not None]
    if is_numeric(gene, scored):
        low = min(known) if gene.low is None else gene.low
        high = max(known) if gene.high is None else gene.high
        shares = [None if each is None else _share(float(each), low, high) for each in values]
        return Pillar(gene.name, shares, (number(low), number(high)))
    words = list(dict.fromkeys([*map(str, gene.choices or ()), *map(str, known)]))
    places = {word: _share(i, 0, len(words) - 1) for i, word in enumerate(words)}
    shares = [None if value is None else places[str(value)] for value in values]
    return Pillar(gene.name, shares, ("", ""), [(places[word], word) for word in words])


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))


def tip_of(trial: Trial) -> str:
    """What is told of a trial under the pointer."""
    scores = [f"{name} {number(value)}" for name, value in (trial.scores or {}).items()]
    genes = [f"{name} = {_shown(value)}" for name, value in trial.genes.items()]
    return "\n".join([f"trial {trial.number}", *scores[:6], *genes[:10]])


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)
