"""How many held-out problems of each skill a model directory gets right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mergegraph.demo.batch import Batch, make_batch
from mergegraph.demo.exams import EXAM, PROBLEMS, draw_exam
from mergegraph.demo.llama import Config, Weights, logits, read_config, shapes
from mergegraph.demo.skills import Problem
from mergegraph.demo.tokenizer import VOCABULARY
from mergegraph.errors import MergeGraphError

_ROWS = 100

Exam = Mapping[str, tuple[Batch, ...]]


def make_exam(problems: int = PROBLEMS) -> Exam:
    """The same held-out problems for every model, so many of each skill."""
    return {name: make_batches(each) for name, each in draw_exam(EXAM, problems).items()}


def score(directory: Path, exam: Exam) -> dict[str, float]:
    """Percent of the problems of each skill that a model answers right.

    Nothing is generated: a model that would say each character of the answer after the right ones
    before it is a model that would write that answer.
    """
    config = read_config(directory / "config.json")
    return score_weights(_read_weights(directory), config, exam, str(directory))


def score_weights(weights: Weights, config: Config, exam: Exam, label: str) -> dict[str, float]:
    """The same of weights that are in memory; messages call their model `label`."""
    _check(label, config, weights)
    wide = {name: weights[name].float() for name in shapes(config)}
    return {name: _percent_right(wide, config, batches) for name, batches in exam.items()}


def make_batches(problems: Iterable[Problem]) -> tuple[Batch, ...]:
    """Problems to be answered, so many at a time."""
    # rows of one length together waste no time on padding
    rows = sorted(problems, key=lambda each: len(each.question + each.answer))
    return tuple(make_batch(rows[at : at + _ROWS]) for at in range(0, len(rows), _ROWS))


def _read_weights(directory: Path) -> Weights:
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise MergeGraphError(f"{directory}: holds no .safetensors file")
    try:
        return {name: each for file in files for name, each in load_file(file).items()}
    except (OSError, SafetensorError) as error:
        raise MergeGraphError(f"{directory}: its weights cannot be read ({error})") from error


def _check(label: str, config: Config, weights: Weights) -> None:
    if config.vocab_size < len(VOCABULARY):
        raise MergeGraphError(
            f"{label}: knows {config.vocab_size} tokens, the demo family {len(VOCABULARY)}"
        )
    for name, shape in shapes(config).items():
        if name not in weights:
            raise MergeGraphError(f"{label}: {name} is missing")
        found = tuple(weights[name].shape)
        if found != shape:
            raise MergeGraphError(f"{label}: {name} is {found}, by its config.json {shape}")


@torch.inference_mode()
def _percent_right(weights: Weights, config: Config, batches: tuple[Batch, ...]) -> float:
    right = torch.cat([_is_right(weights, config, batch) for batch in batches])
    return 100 * int(right.sum()) / len(right)


def _is_right(weights: Weights, config: Config, batch: Batch) -> torch.Tensor:
    written = logits(weights, config, batch.read).argmax(-1)
    return ((written == batch.wanted) | ~batch.is_answer).all(1)
