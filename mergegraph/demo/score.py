"""How many held-out problems of each skill a model directory gets right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mergegraph.demo.batch import Batch, make_batch
from mergegraph.demo.llama import Config, Weights, logits, read_config, shapes
from mergegraph.demo.skills import draw, make_skills
from mergegraph.demo.tokenizer import VOCABULARY
from mergegraph.errors import MergeGraphError

PROBLEMS = 500
_ROWS = 100

Exam = Mapping[str, tuple[Batch, ...]]


def make_exam(problems: int = PROBLEMS) -> Exam:
    """The same held-out problems for every model, so many of each skill."""
    return {name: _questions(name, problems) for name in make_skills()}


def score(directory: Path, exam: Exam) -> dict[str, float]:
    """Percent of the problems of each skill that a model answers right.

    Nothing is generated: a model that would say each character of the answer after the right ones
    before it is a model that would write that answer.
    """
    config = read_config(directory / "config.json")
    weights = _read_weights(directory)
    _check(directory, config, weights)
    return {name: _percent_right(weights, config, batches) for name, batches in exam.items()}


def _questions(name: str, count: int) -> tuple[Batch, ...]:
    random, skill = Random(f"exam {name}"), make_skills()[name]
    # rows of one length together waste no time on padding
    problems = sorted(
        (draw(skill, random, held_out=True, is_modern=True) for _ in range(count)),
        key=lambda problem: len(problem.question + problem.answer),
    )
    return tuple(make_batch(problems[at : at + _ROWS]) for at in range(0, count, _ROWS))


def _read_weights(directory: Path) -> Weights:
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise MergeGraphError(f"{directory}: holds no .safetensors file")
    try:
        return {name: each for file in files for name, each in load_file(file).items()}
    except (OSError, SafetensorError) as error:
        raise MergeGraphError(f"{directory}: its weights cannot be read ({error})") from error


def _check(directory: Path, config: Config, weights: Weights) -> None:
    if config.vocab_size < len(VOCABULARY):
        raise MergeGraphError(
            f"{directory}: knows {config.vocab_size} tokens, the demo family {len(VOCABULARY)}"
        )
    for name, shape in shapes(config).items():
        if name not in weights:
            raise MergeGraphError(f"{directory}: {name} is missing")
        found = tuple(weights[name].shape)
        if found != shape:
            raise MergeGraphError(f"{directory}: {name} is {found}, by its config.json {shape}")


@torch.inference_mode()
def _percent_right(weights: Weights, config: Config, batches: tuple[Batch, ...]) -> float:
    right = torch.cat([_is_right(weights, config, batch) for batch in batches])
    return 100 * right.double().mean().item()


def _is_right(weights: Weights, config: Config, batch: Batch) -> torch.Tensor:
    written = logits(weights, config, batch.read).argmax(-1)
    return ((written == batch.wanted) | ~batch.is_answer).all(1)
