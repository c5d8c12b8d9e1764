"""The record of a search, `search.json`: what is written of it, and read by what tells of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from mergegraph.errors import MergeGraphError
from mergegraph.files.jsonfiles import parse_json
from mergegraph.search.examining import Objective
from mergegraph.search.folder import RECORD, write_text

FORMAT = 1  # one more where what is written means something else than before

Finite = Annotated[float, Field(allow_inf_nan=False)]
Scores = Mapping[str, Finite]


@dataclass(frozen=True)
class Gene:
    """What a search varies: a number within a range, or one of some choices."""

    name: str
    form: str
    low: Finite | None = None
    high: Finite | None = None
    choices: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Trial:
    """One recipe that was tried; without scores if it had a problem."""

    number: int
    generation: int | None
    genes: Mapping[str, Any]
    scores: Scores | None
    problem: str | None = None
    repeats: int | None = None
    seconds: Finite | None = None


@dataclass(frozen=True)
class Evolved:
    """A search of values for a recipe; `best` are the numbers of trials."""

    recipe: str
    sampler: str
    seed: int | None
    chosen_by: str
    reported_by: str
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]
    genes: tuple[Gene, ...]
    trials: tuple[Trial, ...]
    best: tuple[int, ...]
    reported: Mapping[int, Scores]
    parents: Mapping[str, Scores]
    reported_parents: Mapping[str, Scores]


@dataclass(frozen=True)
class Member:
    """A model of a population: one to begin with, or made of others, or that could not be made."""

    name: str
    generation: int
    parents: tuple[str, ...]
    explores: bool
    recipe: str | None
    scores: Scores | None
    problem: str | None = None
    gain: Finite | None = None
    kinship: Finite | None = None
    seconds: Finite | None = None

    @property
    def known(self) -> Scores:
        """Its scores, none if it has none."""
        return self.scores or {}


@dataclass(frozen=True)
class Generation:
    """The models that were new in a generation, and the best ones after it."""

    number: int
    new: tuple[str, ...]
    top: tuple[str, ...]
    kinship: Finite | None = None
    stopped: str | None = None


@dataclass(frozen=True)
class Kinships:
    """How alike every two models are; None where that is undefined, and of a model with itself."""

    metric: str
    names: tuple[str, ...]
    matrix: tuple[tuple[Finite | None, ...], ...]

    def __post_init__(self) -> None:
        """Refuse a matrix that has not a row and a column for each name."""
        if [len(each) for each in self.matrix] != [len(self.names)] * len(self.names):
            raise ValueError("the matrix of kinship is not square")


@dataclass(frozen=True)
class Try:
    """A model that was tried in a soup with the ingredients there were."""

    candidate: str
    ingredients: tuple[str, ...]
    score: Finite | None
    accepted: bool


@dataclass(frozen=True)
class Bred:
    """A population of merges, or a soup, which alone has an order, ingredients and tries."""

    strategy: str
    base: str | None
    method: str
    chosen_by: str
    reported_by: str
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]
    members: tuple[Member, ...]
    generations: tuple[Generation, ...]
    best: str | None
    reported: Mapping[str, Scores]
    kinship: Kinships | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    early_stop: Finite | None = None
    explore: bool = False
    k: int | None = None
    seed: int | None = None
    accept: str | None = None
    order: tuple[str, ...] = ()
    ingredients: tuple[str, ...] = ()
    tries: tuple[Try, ...] = ()


_KINDS: Mapping[str, type[Evolved | Bred]] = MappingProxyType({"evolve": Evolved, "breed": Bred})


def write_record(folder: Path, record: Evolved | Bred) -> None:
    """Write the record of a search, as a whole or not at all."""
    kind = next(name for name, each in _KINDS.items() if isinstance(record, each))
    told = TypeAdapter(type(record)).dump_python(record, mode="json")
    text = json.dumps({"kind": kind, "format": FORMAT, **told}, indent=1, ensure_ascii=False)
    write_text(folder / RECORD, text + "\n")


def read_record(folder: Path) -> Evolved | Bred:
    """The record of a search; raises MergeGraphError if it is none."""
    path = folder / RECORD
    try:
        data = parse_json(path.read_bytes(), str(path))
    except OSError as error:
        raise MergeGraphError(f"{path}: cannot be read: {error.strerror}") from error
    kind, number = data.get("kind"), data.get("format")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise MergeGraphError(f"{path}: is no record of a search: it has no kind evolve or breed")
    if not isinstance(number, int) or number > FORMAT:
        fact = f"is of format {number}, and this version of mergegraph reads up to {FORMAT}"
        raise MergeGraphError(f"{path}: {fact}; read it with the version that wrote it")
    try:
        return TypeAdapter(_KINDS[kind]).validate_python(data)
    except ValidationError as error:
        told = "; ".join(_misfits(error))
        fact = f"parts of the record are missing or wrong: {told}"
        raise MergeGraphError(f"{path}: {fact}; run the search again to write it anew") from error


def _misfits(error: ValidationError) -> Iterable[str]:
    """The first of what does not fit, each with its place."""
    for each in error.errors(include_url=False)[:3]:
        yield f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
