"""Evaluators: functions of a model that give it named scores."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from mergegraph.errors import MergeGraphError
from mergegraph.parameters import Parameter, hints_of, parameter_of

Scores = Mapping[str, float]
_GIVEN = ("model", "data")


class Candidate(Protocol):
    """A model to be examined, on disk or not: only what is asked for is made.

    Nothing of it may be written to, and files are gone when the examination is over.
    """

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def tensors(self) -> Mapping[str, Any]:
        """Its tensors by name, in the dtypes they are stored in."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Its config.json."""

    @property
    def files(self) -> Path:
        """A folder of all its files but the weights: config.json, tokenizer and others."""

    @property
    def directory(self) -> Path:
        """A folder of all its files, as transformers loads it."""


@dataclass(frozen=True)
class Evaluator:
    """A named examination of models, with its parameters as of methods.

    `splits` are the data that choose and those that report where nobody says which; `pieces` tells
    what the words for data stand for, so that it is seen where two have something in common.
    """

    name: str
    function: Callable[..., Scores]
    parameters: Mapping[str, Parameter]
    splits: tuple[str, str] | None
    pieces: Callable[[str], Iterable[str]]
    main: str | None
    lower_is_better: frozenset[str]
    doc: str

    def __call__(self, model: Candidate, data: str, **values: Any) -> Scores:
        """The scores of a model on some data."""
        given = {self.parameters[name].keyword: value for name, value in values.items()}
        return self.function(model, data, **given)

    @property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        return self.doc.partition("\n")[0]


def _itself(data: str) -> Iterable[str]:
    return (data,)


def evaluator(
    *,
    name: str | None = None,
    splits: tuple[str, str] | None = None,
    pieces: Callable[[str], Iterable[str]] = _itself,
    main: str | None = None,
    lower_is_better: Iterable[str] = (),
) -> Callable[[Callable[..., Scores]], Evaluator]:
    """Make an evaluator of a function `name(model, data, *, parameters…)` that gives scores.

    `model` is a `Candidate`; `data` is the word, or the words, after the evaluator's name and a
    colon. Keyword-only arguments are parameters, annotated as those of methods are. The docstring
    is what users read.

    - `splits`: the data that choose and those that report, where the user names none.
    - `pieces`: what data stands for, such as digests of texts; a search is refused whose two
      examinations share a piece. By default the word itself.
    - `main`: the score that is looked for, unless the user says another; with none there must be
      only one, or the user says which.
    - `lower_is_better`: scores of which less is better, such as a perplexity.

    Raises MergeGraphError if the signature cannot be that of an evaluator.
    """

    def wrap(function: Callable[..., Scores]) -> Evaluator:
        signature = inspect.signature(function).parameters
        told = name or function.__name__
        if tuple(signature)[:2] != _GIVEN:
            fact = f"takes {', '.join(signature) or 'nothing'}"
            raise MergeGraphError(f"evaluator {told}: {fact}; write {told}(model, data, *, …)")
        own = [each for word, each in signature.items() if word not in _GIVEN]
        for each in own:
            if each.kind is not each.KEYWORD_ONLY:
                fact = f"{each} is not keyword-only, as parameters are; put it after a *"
                raise MergeGraphError(f"evaluator {told}: {fact}")
        hints = hints_of(function, [each.name for each in own])
        doc = inspect.cleandoc(function.__doc__ or "")
        parameters = [parameter_of(each, hints.get(each.name, float), doc) for each in own]
        return Evaluator(
            name=told,
            function=function,
            parameters=MappingProxyType({each.name: each for each in parameters}),
            splits=splits,
            pieces=pieces,
            main=main,
            lower_is_better=frozenset(lower_is_better),
            doc=doc,
        )

    return wrap
