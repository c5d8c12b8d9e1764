"""A recipe as values: stages of modules of slices of sources."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mergegraph.errors import Problem
from mergegraph.recipe.values import Parameters


@dataclass(frozen=True)
class Source:
    """A model that takes part: whole, or with its layers `[start, end)`.

    An end that is not positive is counted back from behind the model's last layer.
    """

    model: str
    layers: tuple[int, int] | None
    parameters: Parameters
    place: str


@dataclass(frozen=True)
class Slice:
    """Sources merged with each other, layer by layer."""

    sources: tuple[Source, ...]
    base: str | None
    parameters: Parameters
    place: str

    @property
    def length(self) -> int | None:
        """Number of output layers; None where the sources are whole models."""
        layers = self.sources[0].layers
        return None if layers is None else layers[1] - layers[0]


@dataclass(frozen=True)
class Module:
    """A part of a model by the prefix of its tensors' names; the whole model if there is none."""

    prefix: str | None
    slices: tuple[Slice, ...]
    parameters: Parameters
    place: str


@dataclass(frozen=True)
class AdapterRank:
    """The rank of a merged adapter: a number, the share of its squares to be kept, or both."""

    rank: int | None
    energy: float | None
    place: str


@dataclass(frozen=True)
class TokenRule:
    """Where a token's row is taken from: a row of a model, zeros, or what there is without a rule.

    `other` is the token of the model that is meant, `row` its id; without either it is the same
    token. With `force` also models that have the token take it from there.
    """

    token: str
    kind: str
    model: str | None
    other: str | None
    row: int | None
    force: bool
    place: str


@dataclass(frozen=True)
class TokenizerRules:
    """The vocabulary of a result: `source` is a model, `base` or `union`."""

    source: str
    tokens: tuple[TokenRule, ...]
    multiple: int | None
    place: str


@dataclass(frozen=True)
class Stage:
    """One merge of a recipe; a model to the stages after it.

    `out_place` is where `out` is said, and `lacking` what is wrong with it unless its models are
    adapters, whose base is known.
    """

    name: str | None
    method: str
    modules: tuple[Module, ...]
    base: str | None
    parameters: Parameters
    dtype: str | None
    out_dtype: str | None
    out: str | None
    seed: int | None
    on_missing: str
    on_vocab: str
    on_nonfinite: str
    tokenizer: TokenizerRules | None
    chat_template: str | None
    place: str
    adapter: AdapterRank | None = None
    lacking: Problem | None = None
    out_place: str = ""

    def models(self) -> Iterator[tuple[str, str]]:
        """Every model it names, with the place: the base first."""
        if self.base is not None:
            yield self.base, self.place
        for module in self.modules:
            for part in module.slices:
                if part.base is not None:
                    yield part.base, part.place
                for source in part.sources:
                    yield source.model, source.place

    def stands_on(self, names: Collection[str]) -> Iterator[str]:
        """Those of some stages, by name, that are models of it, be it with an adapter."""
        for model, _ in self.models():
            if (name := stage_of(model, names)) is not None:
                yield name

    @property
    def donor(self) -> str:
        """The model that config and side files come from: the base, or else the first."""
        return next(model for model, _ in self.models())


def stage_of(reference: str, names: Collection[str]) -> str | None:
    """The stage that a reference names, alone or as `stage+adapter`; None if it names none."""
    before, plus, adapter = reference.partition("+")
    if reference in names:
        return reference
    return before if plus and adapter and before in names else None


@dataclass(frozen=True)
class Recipe:
    """What the user asked for. `problems` is what is wrong with it, as far as its text tells."""

    file: str
    text: str
    stages: tuple[Stage, ...]
    result: Stage | None
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return Path(self.file).stem
