"""What a search leaves in its folder: the winner's recipe, a record, a table of trials."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mergegraph.evolve.genes import Gene
from mergegraph.evolve.journal import Known, Trial
from mergegraph.evolve.request import SearchRequest
from mergegraph.evolve.searching import Found
from mergegraph.search import record
from mergegraph.search.folder import BEST, BEST_ONES, FRONT, TABLE, tidy, write_text


def write_records(folder: Path, request: SearchRequest, known: Known, found: Found) -> None:
    """Write record, table and best recipes, each whole or not at all."""
    record.write_record(folder, record_of(request, known, found))
    write_text(folder / TABLE, table_of(request, found.trials))
    recipes = recipes_of(request, found)
    for name, text in recipes.items():
        write_text(folder / name, text)
    tidy(folder, BEST_ONES, but=recipes)


def recipes_of(request: SearchRequest, found: Found) -> dict[str, str]:
    """The recipes of the best trials, by the names of their files."""
    if len(request.objectives) == 1:
        return {BEST: recipe_of(request, found, found.best[0])} if found.best else {}
    width = max(2, len(str(len(found.best) - 1)))
    return {
        f"{FRONT}/{i:0{width}}.yaml": recipe_of(request, found, number)
        for i, number in enumerate(found.best)
    }


def recipe_of(request: SearchRequest, found: Found, number: int) -> str:
    """The recipe of a trial, which says in its first line what it is."""
    trial = found.trials[number]
    scores = trial.scores or {}
    told = ", ".join(f"{each.name} {scores[each.name]:.6g}" for each in request.objectives)
    came = f"# {Path(request.file).name}, filled by mergegraph evolve: trial {number}"
    text = request.space.filled(trial.point).text
    return f"{came}, {told} by {request.chooses.text}\n{text}"


def record_of(request: SearchRequest, known: Known, found: Found) -> record.Evolved:
    """The record that reports are drawn from."""
    reported = {int(name): each for name, each in _scores(known.reported).items()}
    return record.Evolved(
        recipe=Path(request.file).name,
        sampler=request.way.sampler,
        seed=request.way.seed,
        chosen_by=request.chooses.text,
        reported_by=request.reports.text,
        objectives=tuple(request.objectives),
        genes=tuple(map(_gene, request.space.genes)),
        trials=tuple(map(_trial, found.trials)),
        best=tuple(found.best),
        reported={number: each for number, each in reported.items() if number in found.best},
        parents=_scores(known.parents),
        reported_parents=_scores(known.reported_parents),
    )


def _gene(gene: Gene) -> record.Gene:
    choices = None if gene.choices is None else tuple(gene.choices)
    return record.Gene(gene.name, gene.form, gene.low, gene.high, choices)


def _trial(trial: Trial) -> record.Trial:
    return record.Trial(
        number=trial.number,
        generation=trial.generation,
        genes=trial.genes,
        scores=trial.scores,
        problem=trial.problem,
        repeats=trial.repeats,
        seconds=trial.seconds,
    )


def _scores(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Scores by name, of what has some."""
    return {name: each["scores"] for name, each in found.items() if each["scores"] is not None}


def table_of(request: SearchRequest, trials: Sequence[Trial]) -> str:
    """All trials as a table: number, generation, scores, genes."""
    scores = dict.fromkeys(name for each in trials for name in each.scores or ())
    genes = [each.name for each in request.space.genes]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    first = ("number", "generation", "repeats", "seconds", "problem")
    writer.writerow([*first, *scores, *(f"gene {each}" for each in genes)])
    for each in trials:
        told = (each.number, each.generation, each.repeats, each.seconds, each.problem)
        writer.writerow([*told, *_picked(each.scores or {}, scores), *_picked(each.genes, genes)])
    return out.getvalue()


def _picked(values: Mapping[str, Any], names: Iterable[str]) -> list[Any]:
    return [values.get(name, "") for name in names]
