"""What a search leaves in its folder: the winner's recipe, a record, a table of trials."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mergegraph.evolve import genes as searched
from mergegraph.evolve.journal import Entry, Known
from mergegraph.evolve.request import Asking
from mergegraph.evolve.searching import Found
from mergegraph.search.folder import BEST, write_text
from mergegraph.search.record import Evolved, Gene, Trial, write_record

TABLE, FRONT = "trials.csv", "pareto"


def write_records(folder: Path, asking: Asking, known: Known, found: Found) -> None:
    """Write record, table and best recipes, each whole or not at all."""
    write_record(folder, record_of(asking, known, found))
    write_text(folder / TABLE, table_of(asking, found.trials))
    recipes = recipes_of(asking, found)
    if len(asking.objectives) > 1:
        (folder / FRONT).mkdir(exist_ok=True)
        for path in (folder / FRONT).glob("*.yaml"):
            if f"{FRONT}/{path.name}" not in recipes:
                path.unlink()
    for name, text in recipes.items():
        write_text(folder / name, text)


def recipes_of(asking: Asking, found: Found) -> dict[str, str]:
    """The recipes of the best trials, by the names of their files."""
    if len(asking.objectives) == 1:
        return {BEST: recipe_of(asking, found, found.best[0])} if found.best else {}
    width = max(2, len(str(len(found.best) - 1)))
    return {
        f"{FRONT}/{i:0{width}}.yaml": recipe_of(asking, found, number)
        for i, number in enumerate(found.best)
    }


def recipe_of(asking: Asking, found: Found, number: int) -> str:
    """The recipe of a trial, which says in its first line what it is."""
    entry = found.trials[number]
    scores = entry.scores or {}
    told = ", ".join(f"{each.name} {scores[each.name]:.6g}" for each in asking.objectives)
    came = f"# {Path(asking.file).name}, filled by mergegraph evolve: trial {number}"
    text = asking.space.filled(entry.point).text
    return f"{came}, {told} by {asking.chooses.text}\n{text}"


def record_of(asking: Asking, known: Known, found: Found) -> Evolved:
    """The record that reports are drawn from."""
    reported = {int(name): each for name, each in _scores(known.reported).items()}
    return Evolved(
        recipe=Path(asking.file).name,
        sampler=asking.way.sampler,
        seed=asking.way.seed,
        chosen_by=asking.chooses.text,
        reported_by=asking.reports.text,
        objectives=tuple(asking.objectives),
        genes=tuple(map(_gene, asking.space.genes)),
        trials=tuple(map(_trial, found.trials)),
        best=tuple(found.best),
        reported={number: each for number, each in reported.items() if number in found.best},
        parents=_scores(known.parents),
        reported_parents=_scores(known.reported_parents),
    )


def _gene(gene: searched.Gene) -> Gene:
    choices = None if gene.choices is None else tuple(gene.choices)
    return Gene(gene.name, gene.form, gene.low, gene.high, choices)


def _trial(entry: Entry) -> Trial:
    return Trial(
        number=entry.number,
        generation=entry.generation,
        genes=entry.genes,
        scores=entry.scores,
        problem=entry.problem,
        repeats=entry.repeats,
        seconds=entry.seconds,
    )


def _scores(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Scores by name, of what has some."""
    return {name: each["scores"] for name, each in found.items() if each["scores"] is not None}


def table_of(asking: Asking, trials: Sequence[Entry]) -> str:
    """All trials as a table: number, generation, scores, genes."""
    scores = dict.fromkeys(name for each in trials for name in each.scores or ())
    genes = [each.name for each in asking.space.genes]
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
