"""Reading a recipe for a mixture of experts: every problem of its text found, with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mergegraph.errors import MergeGraphError, Problem, ProblemsError, nearest
from mergegraph.moe.grammar import ExpertEntry, MixtureEntry
from mergegraph.recipe.checking import fact_of
from mergegraph.recipe.private import secret_lines, secret_values
from mergegraph.recipe.reading import text_of
from mergegraph.recipe.source import Document, read_documents

BY_CHANCE = ("random", "uniform_random")


@dataclass(frozen=True)
class Expert:
    """A model whose MLPs are an expert, and the prompts it is to be chosen for or not."""

    model: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    noise: float
    scale: float
    place: str


@dataclass(frozen=True)
class Mixture:
    """A mixture of experts, as a recipe asks for it."""

    file: str
    text: str
    base: str
    experts: tuple[Expert, ...]
    shared: tuple[Expert, ...]
    gate_mode: str
    per_token: int
    architecture: str | None
    dtype: str | None
    seed: int | None
    places: Mapping[str, str]

    @property
    def notes(self) -> Iterator[str]:
        """What the recipe says without effect, and what of it is not told."""
        yield from secret_lines(self.file, self.text)
        told = [each for each in self.experts if any((*each.positive, *each.negative))]
        if self.gate_mode in BY_CHANCE and told:
            why = f"gates are drawn by gate_mode {self.gate_mode}"
            yield f"{told[0].place}: prompts change nothing: {why}"

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return Path(self.file).stem

    def models(self) -> Iterator[tuple[str, str]]:
        """Every model it names, with the place: the base first."""
        yield self.base, self.places["base_model"]
        for each in (*self.experts, *self.shared):
            yield each.model, each.place


def read_mixture(file: str) -> Mixture:
    """Read a recipe of mergekit-moe; raises ProblemsError with all that is wrong with it."""
    text = text_of(file)
    documents = read_documents(file, text)
    if len(documents) != 1:
        told = "holds no recipe" if not documents else "holds several documents; give each a file"
        raise MergeGraphError(f"{file}: {told}")
    return _Reading(documents[0], text).mixture()


class _Reading:
    """Makes a mixture of a document."""

    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.text = text
        self.problems = [*document.problems, *secret_values(document)]

    def mixture(self) -> Mixture:
        data = self.document.data
        if not isinstance(data, dict):
            self.wrong((), "a recipe is a mapping: base_model, experts, ...")
            raise ProblemsError(self.problems)
        if "merge_method" in data:
            self.wrong(
                ("merge_method",), "a recipe for `mergegraph run`, not one of experts", key=True
            )
            raise ProblemsError(self.problems)
        try:
            found = MixtureEntry.model_validate(data)
        except ValidationError as error:
            for each in error.errors():
                self.report(each)
            raise ProblemsError(self.problems) from error
        made = self.built(found)
        self.check(made)
        if self.problems:
            raise ProblemsError(self.problems)
        return made

    def built(self, found: MixtureEntry) -> Mixture:
        keys = ("base_model", "gate_mode", "experts_per_token", "architecture", "shared_experts")
        return Mixture(
            file=self.document.file,
            text=self.text,
            base=found.base_model,
            experts=tuple(self.experts("experts", found.experts)),
            shared=tuple(self.experts("shared_experts", found.shared_experts or [])),
            gate_mode=found.gate_mode,
            per_token=found.experts_per_token,
            architecture=found.architecture,
            dtype=found.dtype,
            seed=found.seed,
            places={key: self.document.place((key,)) for key in keys},
        )

    def experts(self, key: str, entries: Sequence[ExpertEntry]) -> Iterator[Expert]:
        for number, each in enumerate(entries):
            yield Expert(
                model=each.source_model,
                positive=tuple(each.positive_prompts or ()),
                negative=tuple(each.negative_prompts or ()),
                noise=each.noise_scale or 0.0,
                scale=1.0 if each.residual_scale is None else each.residual_scale,
                place=self.document.place((key, number)),
            )

    def check(self, made: Mixture) -> None:
        """What the grammar does not see."""
        if made.per_token > len(made.experts):
            fact = f"experts_per_token {made.per_token}: there are {len(made.experts)} experts"
            self.wrong(("experts_per_token",), fact)
        needs = made.gate_mode not in BY_CHANCE
        for number, each in enumerate(made.experts):
            path = ("experts", number)
            if needs and not any(each.positive):
                fact = f"positive_prompts are missing: gate_mode {made.gate_mode} is made of them"
                self.wrong(path, fact)
            if needs and not all((*each.positive, *each.negative)):
                self.wrong(path, "a prompt is empty")

    def report(self, error: Mapping[str, Any]) -> None:
        """Tell of one misfit."""
        path: tuple[str | int, ...] = error["loc"]
        key = str(next((step for step in reversed(path) if isinstance(step, str)), ""))
        if error["type"] == "extra_forbidden":
            entry = ExpertEntry if path[0] in ("experts", "shared_experts") else MixtureEntry
            remedy = nearest(str(path[-1]), entry.model_fields)
            self.wrong(path, f"unknown key '{path[-1]}'{remedy}", key=True)
        elif error["type"] == "missing":
            self.wrong(path[:-1], f"'{path[-1]}' is missing")
        elif error["type"] == "value_error":
            self.wrong(path, f"{key} {error['ctx']['error']}")
        else:
            self.wrong(path, fact_of(key, error))

    def wrong(self, path: tuple[str | int, ...], fact: str, *, key: bool = False) -> None:
        self.problems.append(Problem(self.document.place(path, key=key), fact))
