"""docs/generations.md, made of what was measured and the prose of its template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from string import Template
from typing import Any

from benchmarks.table import NOTHING, Table
from evidence.generations.cold import ONCE, PRIVATE, SHARED
from evidence.generations.families import MEMBERS
from evidence.generations.figures import (
    STOPPED,
    Found,
    correlations,
    generations_of,
    rows,
    saved,
    spread,
    verdict,
)
from evidence.generations.measuring import Extent
from evidence.generations.searches import EXPLORE, LAST, PLAIN
from evidence.generations.weights import CMAES, HAND, RANDOM
from mergegraph.demo.skills import SKILLS

PAGE = "generations.md"
_TEMPLATE = Path(__file__).with_name("generations.template.md")
_RUNS = {PLAIN: "plain", EXPLORE: "exploring"}


def page_text(found: Found, extent: Extent) -> str:
    """The whole page."""
    told = {name: _text(table) for name, table in tables(found, extent).items()}
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        told,
        seeds=extent.seeds,
        problems=extent.problems,
        error=f"{50 / (extent.problems * len(SKILLS)) ** 0.5:.1f}",
        last=LAST,
        rounds=extent.rounds,
        steps=extent.steps,
        all_steps=extent.rounds * extent.steps,
        verdicts="\n".join(f"- {each}." for each in _verdicts(found, extent.seeds)),
        early="\n".join(f"- {each}." for each in _early(found, extent.seeds)),
        kin="\n".join(f"- {each}." for each in _kin(found, extent.seeds)),
        weights_told="\n".join(f"- {each}." for each in _weights_told(found, extent)),
        few=extent.few,
        many=extent.many,
        rounds_told="\n".join(f"- {each}." for each in _rounds_told(found, extent)),
    )


def tables(found: Found, extent: Extent) -> Mapping[str, Table]:
    """The tables by name."""
    return {
        "family": _family(found, extent.seeds),
        "ways": _ways(found, extent.seeds),
        "by_generation": _by_generation(found, extent.seeds),
        "by_kinship": _by_kinship(found, extent.seeds),
        "cold": _cold(found, extent),
        "weights": _weights(found, extent),
    }


def _text(table: Table) -> str:
    return table.markdown() if table.lines else "This was not measured: a package was missing."


def _family(found: Found, seeds: int) -> Table:
    lines = []
    for name, member in MEMBERS.items():
        scores = [found[f"{seed} alone"][name]["reported"] for seed in range(seeds)]
        lines.append((name, " and ".join(member.skills), f"{member.steps}", spread(scores)))
    return Table(("model", "learns", "steps", "average"), tuple(lines), words=2)


def _ways(found: Found, seeds: int) -> Table:
    lines = []
    for each in rows(found, seeds):
        count = spread(each.generations) if each.generations else NOTHING
        examined = spread(each.examined) if any(each.examined) else NOTHING
        lines.append((each.name, spread(each.reported), spread(each.chosen), examined, count))
    heads = ("", "reported", "where it was chosen", "models examined", "generations")
    return Table(heads, tuple(lines), words=1)


def _by_generation(found: Found, seeds: int) -> Table:
    """The best so far after each generation, where a run that has ended stays as it was."""
    lines = []
    for number in range(LAST + 1):
        cells = [str(number)]
        for kind in _RUNS:
            runs = [generations_of(found, kind, seed) for seed in range(seeds)]
            at = [run[min(number, len(run) - 1)] for run in runs]
            kinships = [each["kinship"] for each in at if each["kinship"] is not None]
            going = sum(len(run) > number for run in runs)
            cells += [spread([each["reported"] for each in at])]
            cells += [spread(kinships, ".2f") if kinships else NOTHING, str(going)]
        lines.append(tuple(cells))
    heads = [f"{w}, {what}" for w in _RUNS.values() for what in ("reported", "kinship", "runs")]
    return Table(("generation", *heads), tuple(lines), words=1)


def _by_kinship(found: Found, seeds: int) -> Table:
    """Gains of merges by the kinship of their parents, of all runs together."""
    pairs = [pair for kind in _RUNS for s in range(seeds) for pair in found[f"{s} {kind}"]["pairs"]]
    edges = (-1.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.01)
    lines = []
    for low, high in pairwise(edges):
        gains = [gain for _, kinship, gain, _ in pairs if low <= kinship < high]
        told = (spread(gains), f"{100 * fmean(g > 0 for g in gains):.0f} %") if gains else ("", "")
        name = f"below {high:g}" if low < 0 else f"{low:g} to {min(high, 1):g}"
        lines.append((name, str(len(gains)), *told))
    return Table(("kinship", "merges", "gain", "better than their parents"), tuple(lines), words=1)


def _cold(found: Found, extent: Extent) -> Table:
    lines = []
    for kind in (PRIVATE, SHARED, ONCE):
        runs = [found[f"{seed} cold {kind}"] for seed in range(extent.seeds)]
        averages = [spread([run[i]["average"] for run in runs]) for i in range(len(runs[0]))]
        if kind == ONCE:
            averages = [averages[0], *[""] * (extent.rounds - 1), averages[1]]
        lines.append((kind, *averages))
    heads = ("", "before", *(f"round {i}" for i in range(1, extent.rounds + 1)))
    return Table(heads, tuple(lines), words=1)


def _weights(found: Found, extent: Extent) -> Table:
    """The best weights of so many tries."""
    lines = []
    for name in (HAND, RANDOM, CMAES):
        for tries in (extent.few, extent.many):
            told = _told_of_weights(found, f"{name} {tries}", extent.seeds)
            if told:
                reported = spread([each["reported"] for each in told])
                chosen = spread([each["chosen"] for each in told])
                lines.append((name, str(tries), reported, chosen))
    return Table(("weights", "tries", "reported", "where they were chosen"), tuple(lines), words=1)


def _told_of_weights(found: Found, name: str, seeds: int) -> list[Mapping[str, Any]]:
    keys = (f"{seed} {name}" for seed in range(seeds))
    return [found[key] for key in keys if key in found]


# -- sentences -------------------------------------------------------------------------------


def _verdicts(found: Found, seeds: int) -> Iterator[str]:
    told = {each.name: each.reported for each in rows(found, seeds)}
    alone, soup = told["the best single model"], told["greedy soup"]
    plain, explore = told["generations, plain"], told["generations, exploring"]
    yield verdict(explore, plain, "exploring against plain")
    runs = [found[f"{seed} {EXPLORE}"] for seed in range(seeds)]
    count, high = (sum(run[w] for run in runs) for w in ("explored", "explored and in the top"))
    yield f"{high} of {count} models that exploration made came into a top"
    yield verdict(plain, alone, "plain generations against the best single model")
    yield verdict(plain, soup, "plain generations against the greedy soup")
    yield verdict(soup, told["average of all"], "the greedy soup against the average of all")


def _early(found: Found, seeds: int) -> Iterator[str]:
    told = {each.name: each.reported for each in rows(found, seeds)}
    for kind, word in _RUNS.items():
        counts = list(saved(found, seeds, kind))
        left, total = sum(a for a, _ in counts), sum(b for _, b in counts)
        name = f"generations, {word}"
        cost = fmean(told[name + STOPPED]) - fmean(told[name])
        yield (
            f"{word}: {left} of {total} models would not have been made and examined "
            f"({100 * left / total:.0f} %), at {cost:+.1f} points"
        )


def _kin(found: Found, seeds: int) -> Iterator[str]:
    for kind, word in _RUNS.items():
        every = correlations(found, seeds, kind, "correlation")
        first = correlations(found, seeds, kind, "correlation of the first")
        if every:
            yield f"{word}, all merges of a run: {spread(every, '.2f')} ({_signs(every)})"
        if first and kind == PLAIN:
            yield f"the merges of the first generation alone: {spread(first, '.2f')}"


def _signs(values: Sequence[float]) -> str:
    return f"negative in {sum(each < 0 for each in values)} of {len(values)} runs"


def _rounds_told(found: Found, extent: Extent) -> Iterator[str]:
    last = {kind: _last(found, kind, extent.seeds) for kind in (PRIVATE, SHARED, ONCE)}
    before = _first(found, extent.seeds)
    yield verdict(last[SHARED], before, "the shared model after all rounds against the base")
    yield verdict(last[SHARED], last[ONCE], "several rounds against all steps in one")
    yield verdict(last[SHARED], last[PRIVATE], "heads averaged, too, against private ones")


def _weights_told(found: Found, extent: Extent) -> Iterator[str]:
    for tries in (extent.few, extent.many):
        told = {
            name: [e["reported"] for e in _told_of_weights(found, f"{name} {tries}", extent.seeds)]
            for name in (HAND, RANDOM, CMAES)
        }
        if not all(told.values()):
            continue
        hand = told[HAND] * extent.seeds
        yield verdict(told[CMAES], hand, f"CMA-ES against one weight by hand, {tries} tries each")
        yield verdict(
            told[CMAES], told[RANDOM], f"CMA-ES against drawn weights, {tries} tries each"
        )


def _last(found: Found, kind: str, seeds: int) -> list[float]:
    return [_average(found[f"{seed} cold {kind}"][-1]) for seed in range(seeds)]


def _first(found: Found, seeds: int) -> list[float]:
    return [_average(found[f"{seed} cold {SHARED}"][0]) for seed in range(seeds)]


def _average(scores: Mapping[str, Any]) -> float:
    return float(scores["average"])
