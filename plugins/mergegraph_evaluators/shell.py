"""Any program that prints its scores as JSON."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from mergegraph import Between, Candidate, Evaluator, MergeGraphError, evaluator, hookimpl
from mergegraph_evaluators.parts.programs import carried_out
from mergegraph_evaluators.parts.texts import files_in, pieces_of

_MODEL = "{model}"
_LINES = 3  # of errors that are shown


def _words(data: str) -> list[str]:
    try:
        return shlex.split(data)
    except ValueError as error:
        raise MergeGraphError(f"shell: {data}: {error}") from error


def _check(data: str, *, uses: str | None) -> None:
    program, *words = _words(data)
    if not any(_MODEL in each for each in words):
        raise MergeGraphError(f"shell: {data}: nothing says which model; write {_MODEL} in it")
    if shutil.which(program) is None:
        raise MergeGraphError(f"shell: there is no program '{program}'")
    if uses:
        files_in(uses)


def _pieces(data: str, *, uses: str | None) -> Iterable[str]:
    return pieces_of(files_in(uses)) if uses else [" ".join(_words(data))]


@evaluator(pieces=_pieces, check=_check)
def shell(
    model: Candidate,
    data: str,
    *,
    uses: str | None = None,
    timeout: Annotated[float, Between(0)] = 3600.0,
) -> Mapping[str, float]:
    """The numbers that a program prints as JSON, about the directory of a model.

    DATA is a command, such as `python score.py {model}`, with the model's directory in place of
    {model}. It is taken apart as a shell would, but there is no shell: for pipes and variables,
    write `sh -c 'score "$1" | tail -1' - {model}`.

    The last JSON object that it prints has the scores: every number in it under its name; words,
    lists and what else is in it count for nothing. It has the environment and the folder that
    mergegraph was started in. If it ends with another status than 0, there are no scores. When
    mergegraph is interrupted or killed, it is ended, too, with all that it started.

    Which scores count, say --maximize and --minimize.

    uses: text files that it reads as data, as `a.jsonl+b.jsonl`, so that it is seen where what
        chooses and what reports have lines in common; without them, the commands are compared.
    timeout: seconds that it may take.
    """
    words = [each.replace(_MODEL, str(model.directory)) for each in _words(data)]
    ended = carried_out(words, seconds=timeout)
    if ended.status:
        told = " / ".join(ended.errors.strip().splitlines()[-_LINES:]) or "it says nothing of why"
        raise MergeGraphError(f"'{data}' ended with status {ended.status}: {told}")
    found = list(_objects(ended.output))
    if not found:
        raise MergeGraphError(f"'{data}' printed no JSON object on standard output")
    scores = {name: each for name, each in found[-1].items() if _is_number(each)}
    if not scores:
        told = ", ".join(found[-1]) or "nothing"
        raise MergeGraphError(f"'{data}' printed an object without numbers; it has {told}")
    return scores


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, those inside others aside."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield found
        at = text.find("{", end)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@hookimpl
def evaluators() -> Iterable[Evaluator]:
    """Offer it."""
    return [shell]
