"""Genes: what a search varied, as lines over all of them and as dots over the trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mergegraph.report.curves import Chart, Dot, chart
from mergegraph.report.figures import figure, panels
from mergegraph.report.markup import Markup, number
from mergegraph.report.palette import step_of
from mergegraph.report.records import Evolved, Gene, Objective, Trial
from mergegraph.report.scatter import PALE, Pillar, parallel

_MOST_PANELS = 12


def score_of(trial: Trial, objective: Objective) -> float:
    """The score of a trial that has one."""
    assert trial.scores is not None, "only trials with scores are drawn"
    return trial.scores[objective.name]


def gene_figures(found: Evolved, scored: Sequence[Trial]) -> Iterator[Markup]:
    """Every gene of every trial with its score, and each gene over the trials."""
    first = found.objectives[0]
    scores = [score_of(each, first) * (-1 if first.is_lower_better else 1) for each in scored]
    pillars = [_pillar(gene, scored) for gene in found.genes]
    ends = (min(scores), max(scores))
    pillars.append(
        Pillar(
            first.name,
            [_share(each, *ends) for each in scores],
            (number(abs(ends[0])), number(abs(ends[1]))),
        )
    )
    chosen = [i for i, each in enumerate(scored) if each.number in found.best]
    label = f"{len(found.genes)} genes of {len(scored)} trials"
    picture = parallel(label, pillars, scores, chosen, lambda i: tip_of(scored[i]))
    about = "Each line is a trial, darker the better its score; orange is what was chosen."
    yield figure("Genes and scores", about.replace("darker", "stronger"), picture)
    numeric = [gene for gene in found.genes if _is_numeric(gene, scored)][:_MOST_PANELS]
    if numeric:
        low, high = ends
        pictures = [
            (
                gene.name,
                "",
                chart(
                    Chart(
                        label=f"{gene.name} over the trials",
                        across="trial",
                        dots=[
                            Dot(
                                each.number,
                                float(each.genes[gene.name]),
                                tip_of(each),
                                "f1"
                                if i in chosen
                                else f"cool{max(PALE, step_of(score, low, high))}",
                                4.5 if i in chosen else 3.5,
                            )
                            for i, (each, score) in enumerate(zip(scored, scores, strict=True))
                        ],
                        scale=[v for v in (gene.low, gene.high) if v is not None],
                        size=(310, 190),
                    )
                ),
            )
            for gene in numeric
        ]
        yield panels(
            "Genes over the trials",
            "Where the search looked; stronger colours score better.",
            pictures,
        )


def _pillar(gene: Gene, scored: Sequence[Trial]) -> Pillar:
    values = [each.genes.get(gene.name) for each in scored]
    if _is_numeric(gene, scored):
        known = [float(each) for each in values if each is not None]
        low = min(known) if gene.low is None else gene.low
        high = max(known) if gene.high is None else gene.high
        return Pillar(
            gene.name, [_share(each, low, high) for each in known], (number(low), number(high))
        )
    words = list(
        dict.fromkeys([*map(str, gene.choices), *(str(v) for v in values if v is not None)])
    )
    places = {word: _share(i, 0, len(words) - 1) for i, word in enumerate(words)}
    shares = [None if value is None else places[str(value)] for value in values]
    return Pillar(gene.name, shares, ("", ""), [(places[word], word) for word in words])


def _is_numeric(gene: Gene, scored: Sequence[Trial]) -> bool:
    values = [each.genes.get(gene.name) for each in scored]
    return not gene.choices and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in values
    )


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))


def tip_of(trial: Trial) -> str:
    """What is told of a trial under the pointer."""
    scores = [f"{name} {number(value)}" for name, value in (trial.scores or {}).items()]
    genes = [f"{name} = {_shown(value)}" for name, value in trial.genes.items()]
    return "\n".join([f"trial {trial.number}", *scores[:6], *genes[:10]])


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)
