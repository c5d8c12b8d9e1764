"""All measurements as tasks: what depends on what, many at a time, kept for later."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from evidence.generations import cold, searches, weights
from evidence.generations.families import MEMBERS, train_member

KINDS = (searches.PLAIN, searches.EXPLORE, searches.SOUP)
COLD = (cold.PRIVATE, cold.SHARED, cold.ONCE)


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    seeds: int = 3
    problems: int = 250
    rounds: int = 4
    steps: int = 15
    pace: int = 1
    few: int = 10
    many: int = 40

    @property
    def told(self) -> Mapping[str, int]:
        """What makes two measurements comparable."""
        return {word: each for word, each in asdict(self).items() if word != "seeds"}


@dataclass(frozen=True)
class Task:
    """One measurement, by name, of one seed."""

    name: str
    seed: int
    work: Callable[..., Any]
    given: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What it is known by."""
        return f"{self.seed} {self.name}"


def first_tasks(folder: Path, extent: Extent) -> Iterator[Task]:
    """Those that stand on nothing: models are trained, and rounds are gone through."""
    for seed in range(extent.seeds):
        for name in MEMBERS:
            own = {"folder": folder, "name": name, "pace": extent.pace}
            yield Task(f"trained {name}", seed, _trained, own)
        for kind in COLD:
            given = {"folder": folder, "kind": kind, "problems": extent.problems}
            given |= {"count": extent.rounds, "steps": extent.steps}
            yield Task(f"cold {kind}", seed, cold.rounds, given)


def second_tasks(folder: Path, extent: Extent) -> Iterator[Task]:
    """Those that stand on trained models."""
    for seed in range(extent.seeds):
        given = {"folder": folder, "problems": extent.problems}
        yield Task("alone", seed, searches.alone, given)
        yield from _tasks_of_weights(folder, seed, extent)
        for kind in KINDS:
            yield Task(kind, seed, searches.searched, {**given, "kind": kind})


def _tasks_of_weights(folder: Path, seed: int, extent: Extent) -> Iterator[Task]:
    if not weights.is_installed():
        return
    given = {"folder": folder, "problems": extent.problems}
    for tries in (extent.few, extent.many):
        if not seed:  # nothing is drawn
            name = f"{weights.HAND} {tries}"
            yield Task(name, seed, weights.by_hand, {**given, "tries": tries})
        for sampler in (weights.RANDOM, weights.CMAES):
            own = {**given, "sampler": sampler, "tries": tries}
            yield Task(f"{sampler} {tries}", seed, weights.searched_weights, own)


def measured(
    folder: Path,
    extent: Extent,
    processes: int,
    *,
    found: dict[str, Any],
    on_done: Callable[[str], None],
) -> None:
    """Add what comes of every task to what was `found` before, by key."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for tasks in (first_tasks(folder, extent), second_tasks(folder, extent)):
            new = [each for each in tasks if each.key not in found]
            futures = [pool.submit(each.work, seed=each.seed, **each.given) for each in new]
            for each, future in zip(new, futures, strict=True):
                found[each.key] = future.result()
                on_done(each.key)


def read_measured(path: Path, extent: Extent) -> dict[str, Any]:
    """What was measured before, if it was as much."""
    if not path.exists():
        return {}
    told = json.loads(path.read_text(encoding="utf-8"))
    return dict(told["found"]) if told["extent"] == extent.told else {}


def write_measured(path: Path, extent: Extent, found: Mapping[str, Any]) -> None:
    """Keep what was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"extent": extent.told, "found": found}
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _trained(folder: Path, seed: int, name: str, pace: int) -> bool:
    train_member(folder, seed, name, pace)
    return True
