"""Figures of what was measured: over seeds, with their spread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

from evidence.bench import MARGIN
from evidence.generations.searches import EXPLORE, PLAIN, SOUP, until_early_stop

Found = Mapping[str, Any]
Of = Callable[[Found, int], Mapping[str, Any]]

ALL, STOPPED = "average of all", ", stopped early"


@dataclass(frozen=True)
class Row:
    """A way to make one model: its score on the half that reports, for each seed."""

    name: str
    reported: tuple[float, ...]
    chosen: tuple[float, ...]
    examined: tuple[int, ...]
    generations: tuple[int, ...] = ()


def rows(found: Found, seeds: int) -> list[Row]:
    """Every way to make one model of a family."""
    return [
        _row("the best single model", found, seeds, _best_alone),
        _row(ALL, found, seeds, lambda f, s: {**f[f"{s} alone"][ALL], "examined": 0}),
        _row("greedy soup", found, seeds, lambda f, s: f[f"{s} {SOUP}"]),
        _row("generations, plain", found, seeds, _last_of(PLAIN)),
        _row(f"generations, plain{STOPPED}", found, seeds, _early_of(PLAIN)),
        _row("generations, exploring", found, seeds, _last_of(EXPLORE)),
        _row(f"generations, exploring{STOPPED}", found, seeds, _early_of(EXPLORE)),
    ]


def generations_of(found: Found, kind: str, seed: int) -> Sequence[Mapping[str, Any]]:
    """The generations of a run."""
    told: Sequence[Mapping[str, Any]] = found[f"{seed} {kind}"]["generations"]
    return told


def spread(values: Sequence[float], form: str = ".1f") -> str:
    """The mean of some values, and their standard deviation."""
    told = format(fmean(values), form)
    return f"{told} ± {format(pstdev(values), form)}" if len(values) > 1 else told


def verdict(first: Sequence[float], second: Sequence[float], what: str) -> str:
    """Whether one way is better than another, pair by pair of seeds."""
    gaps = [a - b for a, b in zip(first, second, strict=True)]
    if not any(gaps):
        return f"{what}: the same model for each of {len(gaps)} seeds"
    gap, up = fmean(gaps), sum(each > 0 for each in gaps)
    told = f"{what}: {gap:+.1f} points on average, better for {up} of {len(gaps)} seeds"
    if abs(gap) < MARGIN or 0 < up < len(gaps):
        return f"{told}, which is not enough to tell"
    return told


def correlations(found: Found, seeds: int, kind: str, word: str) -> list[float]:
    """The correlations that were found, of the seeds that have one."""
    told = [found[f"{seed} {kind}"][word] for seed in range(seeds)]
    return [each for each in told if each is not None]


def saved(found: Found, seeds: int, kind: str) -> Iterator[tuple[int, int]]:
    """Of each seed how many models the early stop would have left unexamined, and of how many."""
    for seed in range(seeds):
        told = generations_of(found, kind, seed)
        total = told[-1]["examined"]
        yield total - until_early_stop(told)["examined"], total


def _row(name: str, found: Found, seeds: int, of: Of) -> Row:
    told = [of(found, seed) for seed in range(seeds)]
    return Row(
        name,
        tuple(each["reported"] for each in told),
        tuple(each["chosen"] for each in told),
        tuple(each["examined"] for each in told),
        tuple(each["number"] for each in told if "number" in each),
    )


def _best_alone(found: Found, seed: int) -> Mapping[str, Any]:
    models = {name: each for name, each in found[f"{seed} alone"].items() if name != ALL}
    best = max(models.values(), key=lambda each: float(each["chosen"]))
    return {**best, "examined": len(models)}


def _last_of(kind: str) -> Of:
    return lambda found, seed: generations_of(found, kind, seed)[-1]


def _early_of(kind: str) -> Of:
    return lambda found, seed: until_early_stop(generations_of(found, kind, seed))
