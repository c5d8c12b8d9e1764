"""Records of searches: what `search.json` in the folder of a search tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.jsonfiles import parse_json

RECORD = "search.json"

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Objective:
    """A score that is to become high, or low."""

    name: str
    is_lower_better: bool

    def better(self, first: float, second: float) -> bool:
        """Whether the first is better than the second."""
        return first < second if self.is_lower_better else first > second

    def best(self, values: Iterable[float]) -> float:
        """The best of some values."""
        return min(values) if self.is_lower_better else max(values)


@dataclass(frozen=True)
class Gene:
    """What a search varies: a number within a range, or one of some choices."""

    name: str
    form: str
    low: float | None
    high: float | None
    choices: tuple[Any, ...]


@dataclass(frozen=True)
class Trial:
    """One recipe that was tried; without scores if it had a problem."""

    number: int
    generation: int | None
    genes: Mapping[str, Any]
    scores: Scores | None
    problem: str | None
    repeats: int | None
    seconds: float | None


@dataclass(frozen=True)
class Evolved:
    """A search of values for a recipe."""

    recipe: str
    sampler: str
    seed: int | None
    chosen_by: str
    reported_by: str
    objectives: tuple[Objective, ...]
    genes: tuple[Gene, ...]
    trials: tuple[Trial, ...]
    best: tuple[int, ...]
    reported: Mapping[int, Scores]
    parents: Mapping[str, Scores]
    reported_parents: Mapping[str, Scores]


@dataclass(frozen=True)
class Member:
    """A model of a population: one to begin with, or made of others."""

    name: str
    generation: int
    parents: tuple[str, ...]
    explores: bool
    scores: Scores
    gain: float | None
    kinship: float | None


@dataclass(frozen=True)
class Generation:
    """The models that were new in a generation, and the best ones after it."""

    number: int
    new: tuple[str, ...]
    top: tuple[str, ...]
    kinship: float | None
    stopped: str | None


@dataclass(frozen=True)
class Bred:
    """A search over generations of merges."""

    strategy: str
    base: str
    method: str
    metric: str
    chosen_by: str
    reported_by: str
    objectives: tuple[Objective, ...]
    members: tuple[Member, ...]
    generations: tuple[Generation, ...]
    names: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    best: str
    reported: Mapping[str, Scores]


def read_record(folder: Path) -> Evolved | Bred:
    """The record of a search; raises MergeGraphError if it is none."""
    path = folder / RECORD
    try:
        data = parse_json(path.read_bytes(), str(path))
    except OSError as error:
        raise MergeGraphError(f"{path}: cannot be read: {error.strerror}") from error
    kinds: Mapping[str, Callable[[Mapping[str, Any]], Evolved | Bred]]
    kinds = {"evolve": _evolved, "breed": _bred}
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise MergeGraphError(f"{path}: is no record of a search: it has no kind evolve or breed")
    try:
        return kinds[kind](data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        fact = f"parts of the record are missing or wrong: {error}"
        raise MergeGraphError(f"{path}: {fact}; run the search again to write it anew") from error


def _evolved(data: Mapping[str, Any]) -> Evolved:
    if not data["objectives"]:
        raise ValueError("no objective is named")
    return Evolved(
        recipe=str(data.get("recipe", "")),
        sampler=str(data.get("sampler", "")),
        seed=data.get("seed"),
        chosen_by=str(data["chosen_by"]),
        reported_by=str(data.get("reported_by") or ""),
        objectives=_objectives(data),
        genes=tuple(map(_gene, data["genes"])),
        trials=tuple(map(_trial, data["trials"])),
        best=tuple(int(each) for each in data.get("best") or ()),
        reported={int(n): _scores(s) for n, s in (data.get("reported") or {}).items()},
        parents=_all_scores(data.get("parents")),
        reported_parents=_all_scores(data.get("reported_parents")),
    )


def _bred(data: Mapping[str, Any]) -> Bred:
    kinship = data.get("kinship") or {}
    names = tuple(map(str, kinship.get("names") or ()))
    rows = enumerate(kinship.get("matrix") or ())
    matrix = tuple(
        tuple(1.0 if i == j else _value(v) for j, v in enumerate(row)) for i, row in rows
    )
    if len(matrix) != len(names) or any(len(row) != len(names) for row in matrix):
        raise ValueError("the matrix of kinship is not square")
    return Bred(
        strategy=str(data["strategy"]),
        base=str(data.get("base") or ""),
        method=str(data.get("method") or ""),
        metric=str(data.get("metric") or kinship.get("metric") or ""),
        chosen_by=str(data["chosen_by"] or ""),
        reported_by=str(data.get("reported_by") or ""),
        objectives=_objectives(data),
        members=tuple(map(_member, data["members"])),
        generations=tuple(map(_generation, data["generations"])),
        names=names,
        matrix=matrix,
        best=str(data.get("best") or ""),
        reported=_all_scores(data.get("reported")),
    )


def _objectives(data: Mapping[str, Any]) -> tuple[Objective, ...]:
    return tuple(
        Objective(str(each["name"]), bool(each.get("lower_is_better")))
        for each in data["objectives"]
    )


def _gene(data: Mapping[str, Any]) -> Gene:
    low, high = data.get("low"), data.get("high")
    return Gene(
        name=str(data["name"]),
        form=str(data.get("form", "")),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        choices=tuple(data.get("choices") or ()),
    )


def _trial(data: Mapping[str, Any]) -> Trial:
    scores, seconds = data.get("scores"), data.get("seconds")
    return Trial(
        number=int(data["number"]),
        generation=data.get("generation"),
        genes=dict(data["genes"]),
        scores=None if scores is None else _scores(scores),
        problem=data.get("problem"),
        repeats=data.get("repeats"),
        seconds=None if seconds is None else float(seconds),
    )


def _member(data: Mapping[str, Any]) -> Member:
    return Member(
        name=str(data["name"]),
        generation=int(data["generation"]),
        parents=tuple(map(str, data.get("parents") or ())),
        explores=bool(data.get("explores")),
        scores=_scores(data.get("scores") or {}),
        gain=_maybe(data.get("gain")),
        kinship=_maybe(data.get("kinship")),
    )


def _generation(data: Mapping[str, Any]) -> Generation:
    stopped = data.get("stopped")
    return Generation(
        number=int(data["number"]),
        new=_names(data.get("new")),
        top=_names(data.get("top")),
        kinship=_maybe(data.get("kinship")),
        stopped=None if stopped is None else str(stopped),
    )


def _names(data: Sequence[Any] | None) -> tuple[str, ...]:
    return tuple(map(str, data or ()))


def _all_scores(data: Mapping[str, Any] | None) -> dict[str, Scores]:
    return {str(name): _scores(scores) for name, scores in (data or {}).items()}


def _scores(data: Mapping[str, Any]) -> dict[str, float]:
    found = {str(name): float(value) for name, value in data.items()}
    return {name: value for name, value in found.items() if isfinite(value)}


def _maybe(value: Any) -> float | None:
    return None if value is None or not isfinite(float(value)) else float(value)


def _value(value: Any) -> float:
    return float("nan") if value is None else float(value)
