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
    what the words for data stand for, so that it is seen where two have something in common, and
    `check` raises MergeGraphError where an examination could not be made.
    """

    name: str
    function: Callable[..., Scores]
    parameters: Mapping[str, Parameter]
    splits: tuple[str, str] | None
    pieces: Callable[..., Iterable[str]]
    check: Callable[..., None]
    main: str | None
    lower_is_better: frozenset[str]
    doc: str

    def __call__(self, model: Candidate, data: str, **values: Any) -> Scores:
        """The scores of a model on some data."""
        given = {self.parameters[name].keyword: value for name, value in values.items()}
        return self.function(model, data, **given)

    def pieces_of(self, data: str, values: Mapping[str, Any]) -> Iterable[str]:
        """What words for data stand for, with these values of parameters."""
        return self.pieces(data, **self._taken_by(self.pieces, values))

    def check_of(self, data: str, values: Mapping[str, Any]) -> None:
        """Raise MergeGraphError where this data could not be examined with, with these values."""
        self.check(data, **self._taken_by(self.check, values))

    def _taken_by(self, function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that a function asks for, by its keyword-only arguments."""
        own = [each.name for each in _keywords(function)]
        named = {self.parameters[name].keyword: value for name, value in values.items()}
        return {name: named[name] for name in own}

    @property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        return self.doc.partition("\n")[0]


def _itself(data: str) -> Iterable[str]:
    return (data,)


def _anything(data: str) -> None:
    """Refuse nothing."""


def _keywords(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:  # some that are written in C do not tell theirs
        return []
    return [each for each in found if each.kind is each.KEYWORD_ONLY]


def evaluator(
    *,
    name: str | None = None,
    splits: tuple[str, str] | None = None,
    pieces: Callable[..., Iterable[str]] = _itself,
    check: Callable[..., None] = _anything,
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
    - `check`: raises MergeGraphError where data is no word of its, or a package is not there; it is
      called before any model is looked at, and cheap.
    - `main`: the score that is looked for, unless the user says another; with none there must be
      only one, or the user says which.
    - `lower_is_better`: scores of which less is better, such as a perplexity.

    `pieces(data)` and `check(data)` are also given the parameters that their own keyword-only
    arguments name.

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
        for helper in (pieces, check):
            _check_keywords(told, helper, {each.keyword for each in parameters})
        if found := [each.name for each in parameters if each.per_model]:
            fact = f"{found[0]} is PerModel, but an evaluator sees one model"
            raise MergeGraphError(f"evaluator {told}: {fact}")
        return Evaluator(
            name=told,
            function=function,
            parameters=MappingProxyType({each.name: each for each in parameters}),
            splits=splits,
            pieces=pieces,
            check=check,
            main=main,
            lower_is_better=frozenset(lower_is_better),
            doc=doc,
        )

    return wrap


def _check_keywords(name: str, function: Callable[..., Any], known: Iterable[str]) -> None:
    """Raises MergeGraphError where a function asks for parameters that there are none of."""
    for each in _keywords(function):
        if each.name not in known:
            fact = f"{function.__name__} asks for {each.name}, which is no parameter of it"
            raise MergeGraphError(f"evaluator {name}: {fact}")
