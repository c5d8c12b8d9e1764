"""Models examined one after another, and what was found as tables and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import floor, log10
from time import monotonic

from mergegraph.errors import MergeGraphError, printable
from mergegraph.search.candidates import OnDisk, examined
from mergegraph.search.examining import Examination, names_of

_DIGITS = 4  # that a score is shown with
_HUGE = 1e9  # from where on it is shown with an exponent
_NOTHING = "-"


@dataclass(frozen=True)
class Found:
    """What came of examining one model: scores, or the sentence that says why there are none."""

    model: str
    examination: Examination
    scores: Mapping[str, float] | None
    problem: str | None
    seconds: float

    @property
    def told(self) -> str:
        """A line of it, for who waits."""
        return printable(f"{self.model} by {self.examination.text}: {self.seconds:.1f} s")


def evaluated(
    reference: str,
    open_candidate: Callable[[str], OnDisk],
    examinations: Sequence[Examination],
) -> Iterator[Found]:
    """What each examination finds of a model; one that fails keeps no other from being made."""
    try:
        candidate = open_candidate(reference)
    except MergeGraphError as error:
        yield from (Found(reference, each, None, str(error), 0.0) for each in examinations)
        return
    with candidate:
        for each in examinations:
            yield _examined(candidate, each)


def _examined(candidate: OnDisk, examination: Examination) -> Found:
    began = monotonic()
    try:
        scores, problem = examined(candidate, examination), None
    except MergeGraphError as error:
        scores, problem = None, str(error)
    return Found(candidate.name, examination, scores, problem, monotonic() - began)


def problems_of(found: Iterable[Found]) -> tuple[str, ...]:
    """Why there are no scores where there are none, each once."""
    return tuple(dict.fromkeys(each.problem for each in found if each.problem is not None))


def table_text(found: Sequence[Found], width: int | None = None) -> str:
    """A table for each examination: a line for each model, the best of each score marked.

    One that is wider than `width` has a line for each score instead, and if that is too wide too,
    one for each score of each model.
    """
    examinations = dict.fromkeys(each.examination.text for each in found)
    tables = (_table([e for e in found if e.examination.text == text]) for text in examinations)
    return "\n\n".join(_laid_out(each, width) for each in tables)


def scores_json(found: Sequence[Found]) -> str:
    """Everything that was found, for programs."""
    examinations = {each.examination.text: each.examination for each in found}
    told = {
        "examinations": [_described(each) for each in examinations.values()],
        "results": [
            {
                "model": each.model,
                "examination": each.examination.text,
                "scores": each.scores,
                "problem": each.problem,
                "seconds": round(each.seconds, 3),
            }
            for each in found
        ],
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _described(examination: Examination) -> dict[str, object]:
    evaluator = examination.evaluator
    return {
        "words": examination.text,
        "evaluator": evaluator.name,
        "package": examination.package,
        "data": examination.data,
        "parameters": dict(examination.values),
        "main": evaluator.main,
        "lower_is_better": sorted(evaluator.lower_is_better),
        "digest": examination.digest,
    }


def _table(found: Sequence[Found]) -> list[list[str]]:
    """Columns: that of the models under the words of the examination, and one for each score."""
    scored = [each.scores for each in found if each.scores is not None]
    first = [printable(found[0].examination.text), *(printable(each.model) for each in found)]
    return [first, *(_column(name, found) for name in names_of(scored))]


def _laid_out(columns: list[list[str]], width: int | None) -> str:
    models, *scores = columns
    heads = [models[0], *(f"{each} " for each in models[1:])]
    for text in (_lines(columns), _lines([*zip(heads, *scores, strict=True)])):
        if width is None or not scores or max(map(len, text)) <= width:
            return "\n".join(text)
    rows = zip(models, *scores, strict=True)
    (words, *names), *others = rows
    blocks = [[model, *map("  {} {}".format, names, cells)] for model, *cells in others]
    return "\n".join(line.rstrip() for line in [words, *chain.from_iterable(blocks)])


def _lines(columns: Sequence[Sequence[str]]) -> list[str]:
    """The lines of columns, each as wide as the widest cell; the first begins at the left."""
    first, *others = [max(map(len, each)) for each in columns]
    return [
        "  ".join([f"{head:<{first}}", *map(str.rjust, cells, others)]).rstrip()
        for head, *cells in zip(*columns, strict=True)
    ]


def _column(name: str, found: Sequence[Found]) -> list[str]:
    """A score of every model under its name."""
    values = [None if each.scores is None else each.scores.get(name) for each in found]
    there = [each for each in values if each is not None]
    best = _best(name, found[0].examination, there)
    cells = (_cell(each, _form(there), is_best=each == best) for each in values)
    return [f"{printable(name)} ", *cells]


def _best(name: str, examination: Examination, values: Sequence[float]) -> float | None:
    """The best of a score, if it is known whether more or less of it is better."""
    evaluator = examination.evaluator
    if evaluator.main is None or len(set(values)) < 2:  # noqa: PLR2004 - it is compared
        return None
    return min(values) if name in evaluator.lower_is_better else max(values)


def _form(values: Iterable[float]) -> str:
    """How numbers are written, all of one score alike."""
    largest = max(map(abs, values), default=0.0)
    if largest >= _HUGE:
        return f".{_DIGITS}g"
    before = floor(log10(largest)) + 1 if largest else 1
    return f".{min(max(0, _DIGITS - before), _DIGITS)}f"


def _cell(value: float | None, form: str, *, is_best: bool) -> str:
    if value is None:
        return f"{_NOTHING} "
    return f"{value:{form}}{'*' if is_best else ' '}"
