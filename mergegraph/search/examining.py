"""Examinations: an evaluator, its parameters and its data, as words on the command line say.

The words are `NAME[,KEY=VALUE...][:DATA]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import isfinite
from numbers import Real
from types import MappingProxyType
from typing import Any

from mergegraph.errors import MergeGraphError, RunError, nearest, refusal, told_of
from mergegraph.evaluators import Candidate, Evaluator
from mergegraph.parameters import Parameter
from mergegraph.plugins import Plugins
from mergegraph.recipe.source import UNPRINTABLE, read_documents
from mergegraph.recipe.values import shown

CHOOSES, REPORTS = 0, 1  # which of an evaluator's splits is meant where no data is named
_QUOTED = r"""(?:'[^']*'|"[^"]*"|[^,:'"])*"""  # a comma or colon in quotes divides nothing
_WORDS = re.compile(rf"({_QUOTED})((?:,{_QUOTED})*)(?::(.*))?", re.DOTALL)
_PLAIN = re.compile(r"""[^\s,:'"]+""")


@dataclass(frozen=True)
class Examination:
    """An evaluator with the data it looks at and the value of every parameter.

    `package` is what the evaluator came from, with its version.
    """

    evaluator: Evaluator
    data: str
    values: Mapping[str, Any]
    package: str

    @property
    def text(self) -> str:
        """The words that say it, the same however they were written."""
        told = [
            f",{name}={_written(value)}"
            for name, value in sorted(self.values.items())
            if value != self.evaluator.parameters[name].default
        ]
        return f"{self.evaluator.name}{''.join(told)}:{self.data}"

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """What the data stands for, in order; raises MergeGraphError if that cannot be told."""
        with told_of(f"evaluator {self.text}"):
            return tuple(self.evaluator.pieces_of(self.data, self.values))

    @cached_property
    def digest(self) -> str:
        """What equal scores of equal models depend on."""
        told = [self.evaluator.name, self.package, self.data, dict(sorted(self.values.items()))]
        return sha256(json.dumps([*told, self.pieces]).encode()).hexdigest()

    def examine(self, candidate: Candidate) -> dict[str, float]:
        """The scores of a candidate; raises RunError where there are none to be had."""
        what = f"{self.evaluator.name} on {candidate.name}"
        with _telling(what):
            return _checked(self.evaluator(candidate, self.data, **self.values), what)


@dataclass(frozen=True)
class Objective:
    """A score that is looked for, and whether less of it is better."""

    name: str
    is_lower_better: bool

    def of(self, scores: Mapping[str, float]) -> float:
        """This score among others; raises RunError if it is not there."""
        if self.name not in scores:
            raise RunError(f"no score is called '{self.name}'{nearest(self.name, scores)}")
        return scores[self.name]

    def rank(self, scores: Mapping[str, float]) -> float:
        """This score, so that more is better."""
        return -self.of(scores) if self.is_lower_better else self.of(scores)

    def best(self, values: Iterable[float]) -> float:
        """The best of some values of it."""
        return min(values) if self.is_lower_better else max(values)


def read_examination(text: str, plugins: Plugins, *, split: int = CHOOSES) -> Examination:
    """The examination that words say; without data it looks at the evaluator's own `split`.

    Raises MergeGraphError if there is none, or what it needs is not there.
    """
    name, given, data = _divided(text)
    if name not in plugins.evaluators:
        known = plugins.evaluators
        raise MergeGraphError(f"no evaluator '{name}' is installed{nearest(name, known)}")
    evaluator = plugins.evaluators[name]
    if not data and evaluator.splits is None:
        raise MergeGraphError(f"{text}: {name} needs data; write {name}:DATA")
    found = Examination(
        evaluator=evaluator,
        data=data or (evaluator.splits or ("", ""))[split],
        values=MappingProxyType(_values(evaluator, given, text)),
        package=plugins.evaluator_packages[name],
    )
    with told_of(f"evaluator {text}"):
        evaluator.check_of(found.data, found.values)
    return found


def objectives_of(
    examination: Examination, maximize: Sequence[str] = (), minimize: Sequence[str] = ()
) -> tuple[Objective, ...]:
    """The scores that are looked for: those named, or the evaluator's main one."""
    evaluator = examination.evaluator
    names = [*maximize, *minimize]
    for each in names:
        if names.count(each) > 1:
            raise MergeGraphError(f"the score '{each}' is to be looked for twice; name it once")
    if names:
        return tuple(Objective(each, each in minimize) for each in names)
    if evaluator.main is None:
        remedy = "say which one with --maximize NAME or --minimize NAME"
        raise MergeGraphError(f"{evaluator.name} does not say which score counts; {remedy}")
    return (Objective(evaluator.main, evaluator.main in evaluator.lower_is_better),)


def shared(first: Examination, second: Examination) -> tuple[str, ...]:
    """The pieces of data that two examinations both use; those of two evaluators never meet."""
    if first.evaluator.name != second.evaluator.name:
        return ()
    known = frozenset(first.pieces)
    return tuple(dict.fromkeys(each for each in second.pieces if each in known))


def check_apart(chooses: Examination, reports: Examination, *, same_data: bool = False) -> None:
    """Refuse to report with data that has chosen, unless that is asked for."""
    common = () if same_data else shared(chooses, reports)
    if not common:
        return
    cost = "what it chooses would look better than it is"
    remedy = f"report with other data{_other(chooses)}, or say --same-data"
    if chooses.data == reports.data:
        raise MergeGraphError(f"{chooses.text} chooses and reports: {cost}; {remedy}")
    told = f"{len(common)} of {len(dict.fromkeys(reports.pieces))} pieces of {reports.text}"
    fact = f"{told} are in {chooses.text} too, such as '{common[0]}'"
    raise MergeGraphError(f"{fact}: {cost}; {remedy}")


def _other(chooses: Examination) -> str:
    """The evaluator's own data to report with, where it has some that has not chosen."""
    splits = [each for each in chooses.evaluator.splits or () if each != chooses.data]
    return f", such as {chooses.evaluator.name}:{splits[-1]}" if splits else ""


# -- words -----------------------------------------------------------------------------------


def _divided(text: str) -> tuple[str, list[tuple[str, str]], str]:
    """The name, the settings and the data that words consist of."""
    form = "write NAME[,KEY=VALUE...][:DATA]"
    if UNPRINTABLE.search(text):
        raise MergeGraphError(f"evaluator {text!r}: holds what cannot be printed")
    found = _WORDS.fullmatch(text.strip())
    if found is None:
        raise MergeGraphError(f"evaluator {text}: a quote is not closed; {form}")
    name, settings, data = found.groups()
    given = []
    for each in re.findall(rf",({_QUOTED})", settings):
        key, sign, value = each.partition("=")
        if not sign or not key.strip():
            raise MergeGraphError(f"evaluator {text}: '{each}' is not KEY=VALUE; {form}")
        given.append((key.strip(), value.strip()))
    if not name.strip() or (data is not None and not data.strip()):
        lacking = "data" if name else "a name"
        raise MergeGraphError(f"evaluator {text}: {lacking} is missing; {form}")
    return name.strip(), given, (data or "").strip()


def _values(evaluator: Evaluator, given: Iterable[tuple[str, str]], text: str) -> dict[str, Any]:
    """The value of every parameter, as given or by default."""
    known = evaluator.parameters
    values = {name: each.default for name, each in known.items() if not each.required}
    seen: set[str] = set()
    for name, word in given:
        if name not in known:
            fact = f"{evaluator.name} has no parameter '{name}'{nearest(name, known)}"
            raise MergeGraphError(f"{text}: {fact}")
        if name in seen:
            raise MergeGraphError(f"{text}: '{name}' is given twice")
        seen.add(name)
        values[name] = _value(known[name], word, text)
    if lacking := [name for name in known if name not in values]:
        raise MergeGraphError(f"{text}: {evaluator.name} needs {lacking[0]}; write {lacking[0]}=")
    return values


def _value(parameter: Parameter, word: str, text: str) -> Any:
    """A word as a value of a parameter: what looks like a number may be a word, too."""
    value = word[1:-1] if word[:1] in ("'", '"') else _parsed(word)
    if parameter.problem(value) and parameter.problem(word) is None:
        value = word
    if fact := parameter.problem(value):
        raise MergeGraphError(f"{text}: {parameter.name} {shown(value)} {fact}")
    return parameter.coerce(value)


def _parsed(word: str) -> Any:
    """A word as it would be read in a recipe."""
    try:
        documents = read_documents("", word) if word else []
    except MergeGraphError:  # it begins with what only YAML has a meaning for
        return word
    return documents[0].data if documents else None


def _written(value: Any) -> str:
    """A value as words have it."""
    if not isinstance(value, str):
        return shown(value)
    return value if _PLAIN.fullmatch(value) else f"'{value}'" if "'" not in value else f'"{value}"'


# -- scores ----------------------------------------------------------------------------------


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Say of whatever fails in an evaluator whose it is."""
    try:
        yield
    except RunError:
        raise
    except MergeGraphError as error:
        raise RunError(f"{what}: {error}") from error
    except (Exception, SystemExit, GeneratorExit) as error:
        told = refusal(error) or f"{type(error).__name__}: {error}"
        raise RunError(f"{what} failed: {told}") from error


def _checked(found: Any, what: str) -> dict[str, float]:
    """Scores as plain numbers; raises RunError where they are none."""
    if not isinstance(found, Mapping) or not found:
        fact = "gave no scores" if isinstance(found, Mapping) else f"gave {type(found).__name__}"
        raise RunError(f"{what} {fact}; it must give a number for each name")
    scores = {}
    for name, value in found.items():
        if not isinstance(name, str):
            raise RunError(f"{what} gave a score whose name is {type(name).__name__}, not str")
        if not name.strip():
            raise RunError(f"{what} gave a score whose name is empty")
        if not name.isprintable():
            raise RunError(f"{what} gave a score named {name!a}, which cannot be printed")
        if not isinstance(value, Real) or isinstance(value, bool):
            raise RunError(f"{what} gave {name} as {type(value).__name__}, not as a number")
        scores[name] = _float(value, name, what)
        if not isfinite(scores[name]):
            raise RunError(f"{what} gave {scores[name]} for {name}, which is no finite number")
    return scores


def _float(value: Real, name: str, what: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise RunError(f"{what} gave a number for {name} that is too large for a float") from None


def names_of(scores: Iterable[Collection[str]]) -> tuple[str, ...]:
    """The names of all scores of several models, in the order in which they first come."""
    return tuple(dict.fromkeys(name for each in scores for name in each))
