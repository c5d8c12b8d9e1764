"""Whether evaluators keep their word: on a small model, which is to be as it was afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from mergegraph.evaluators import Candidate, Evaluator
from mergegraph.library import library_of
from mergegraph.plugins import installed_plugins
from mergegraph.search.candidates import InMemory, OnDisk
from mergegraph.search.examining import Examination
from mergegraph.settings import Settings
from mergegraph.testing.checkpoints import tiny_checkpoint
from mergegraph.testing.kernels import ConformanceError


def check_evaluator(
    evaluator: Evaluator, data: str | None = None, *, model: str | None = None, **values: Any
) -> dict[str, float]:
    """Examine a model twice, from disk and from memory, and give the scores.

    Without `data` both splits are tried, and the scores are those of the first. `model` is a
    reference, by default a tiny Llama. Raises ConformanceError if the evaluator changes the model,
    gives other scores for the same, or does not give what it says.
    """
    if not isinstance(evaluator, Evaluator):
        raise ConformanceError(f"{evaluator!r} was not made with @evaluator")
    if data is None and evaluator.splits is None:
        raise TypeError(f"{evaluator.name} has no splits: say which data it is to look at")
    words = (evaluator.splits or ()) if data is None else (data,)
    examinations = [Examination(evaluator, each, _all(evaluator, values), "") for each in words]
    _check_pieces(evaluator, examinations)
    with TemporaryDirectory() as folder:
        found = [_checked(evaluator, each, model, Path(folder)) for each in examinations]
    return found[0]


def _all(evaluator: Evaluator, values: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every parameter."""
    named = {name.rstrip("_"): value for name, value in values.items()}
    known = evaluator.parameters
    if strange := named.keys() - known.keys():
        raise TypeError(f"{evaluator.name} has no parameter {min(strange)}")
    usual = {name: each.default for name, each in known.items() if not each.required}
    found = {**usual, **named}
    for name, value in found.items():
        if problem := known[name].problem(value):
            _fail(evaluator, f"{name}, {value!r}, {problem}")
    return found


def _check_pieces(evaluator: Evaluator, examinations: list[Examination]) -> None:
    """Pieces are words, always the same, and those of two splits have nothing in common."""
    seen: dict[str, str] = {}
    for each in examinations:
        evaluator.check_of(each.data, each.values)
        pieces = each.pieces
        if not pieces or not all(isinstance(piece, str) for piece in pieces):
            _fail(evaluator, f"pieces of '{each.data}' are not words, or there are none")
        if tuple(evaluator.pieces_of(each.data, each.values)) != pieces:
            _fail(evaluator, f"pieces of '{each.data}' are others when asked for again")
        if both := [piece for piece in pieces if seen.setdefault(piece, each.data) != each.data]:
            _fail(evaluator, f"'{both[0]}' is in both of its splits")


def _checked(
    evaluator: Evaluator, examination: Examination, model: str | None, folder: Path
) -> dict[str, float]:
    """The scores of a model, which are the same from disk and from memory."""
    reference = model or str(tiny_checkpoint(folder / "tiny", hidden=32))
    found = []
    for candidate in _candidates(reference, folder):
        with candidate:
            before = _digests(candidate)
            scores = examination.examine(candidate)
            if examination.examine(candidate) != scores:
                _fail(evaluator, "gives other scores when it is asked again")
            if _digests(candidate) != before:
                _fail(evaluator, "changes the model, which others are yet to see")
        _check_names(evaluator, scores)
        found.append(scores)
    if found[0] != found[1]:
        _fail(evaluator, "gives other scores of the same model in memory")
    return found[0]


def _candidates(reference: str, folder: Path) -> Iterator[OnDisk | InMemory]:
    """A model as it is, and the same in memory."""
    plugins = installed_plugins()
    library = library_of(plugins)
    known = OnDisk(reference, library, Settings(threads=1), scratch=folder)
    yield known
    sides = library.shelf().model(reference).sides
    yield InMemory(known.name, known.tensors, known.config, sides, scratch=folder)


def _digests(candidate: Candidate) -> dict[str, str]:
    """A digest of every tensor and of every file."""
    import torch

    told = {
        name: each.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        for name, each in candidate.tensors.items()
    }
    paths = [path for path in candidate.directory.rglob("*") if path.is_file()]
    told |= {str(path): path.read_bytes() for path in paths}
    return {name: sha256(each).hexdigest() for name, each in told.items()}


def _check_names(evaluator: Evaluator, scores: Mapping[str, float]) -> None:
    if evaluator.main is not None and evaluator.main not in scores:
        _fail(evaluator, f"gives no {evaluator.main}, which is to be its main score")
    if strange := evaluator.lower_is_better - scores.keys():
        _fail(evaluator, f"says that less {min(strange)} is better, and gives none")


def _fail(evaluator: Evaluator, fact: str) -> NoReturn:
    raise ConformanceError(f"{evaluator.name}: {fact}")
