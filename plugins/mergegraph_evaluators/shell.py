"""Any program that prints its scores as JSON."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Annotated, Any

from mergegraph import Between, Candidate, Evaluator, MergeGraphError, evaluator, hookimpl
from mergegraph_evaluators.parts.programs import MOST, carried_out
from mergegraph_evaluators.parts.texts import files_in, pieces_of

_MODEL = "{model}"
_LINES, _LONG = 3, 300  # of errors that are shown, and the letters of each
_TRIES = 100  # lines that are looked at, as each may be the first of many
_NEXT = re.compile(r"\s*(\S)")
_INSIDE = ",]}"  # what follows a value that is inside another


def _words(data: str) -> list[str]:
    try:
        return shlex.split(data)
    except ValueError as error:
        raise MergeGraphError(f"shell: {data}: {error}") from error


def _check(data: str, *, uses: str | None) -> None:
    program, *words = _words(data)
    if _MODEL in program:
        raise MergeGraphError(f"shell: {data}: begins with the model; write a program before it")
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

    The last JSON object that begins a line has the scores: every number in it under its name;
    words, lists and what else is in it count for nothing. Of more than 1 MiB that it prints, the
    last lines are looked at. It has the environment and the folder that
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
        told = " / ".join(_last_lines(ended.errors)) or "it says nothing of why"
        raise MergeGraphError(f"'{data}' ended with status {ended.status}: {told}")
    found = _printed(ended.output)
    if found is None:
        where = (
            f"the last {MOST // 2**20} MiB of standard output"
            if ended.is_cut
            else "standard output"
        )
        raise MergeGraphError(f"'{data}' printed no JSON object that begins a line of {where}")
    scores = {name: each for name, each in found.items() if _is_number(each)}
    if not scores:
        told = ", ".join(found) or "nothing"
        raise MergeGraphError(f"'{data}' printed an object without numbers; it has {told}")
    return scores


def _last_lines(errors: str) -> list[str]:
    lines = errors.strip().splitlines()[-_LINES:]
    return [each if len(each) <= _LONG else f"{each[:_LONG]}..." for each in lines]


def _printed(text: str) -> dict[str, Any] | None:
    """The last JSON object in a text that begins a line, and that is inside no other value."""
    decoder = json.JSONDecoder()
    for start in islice(_line_starts(text), _TRIES):
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        after = _NEXT.match(text, end)
        if after is None or after[1] not in _INSIDE:
            return dict(found)
    return None


def _line_starts(text: str) -> Iterator[int]:
    """Where lines begin with an object, the last ones first."""
    at = len(text)
    while (at := text.rfind("\n{", 0, at)) >= 0:
        yield at + 1
    if text.startswith("{"):
        yield 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@hookimpl
def evaluators() -> Iterable[Evaluator]:
    """Offer it."""
    return [shell]
