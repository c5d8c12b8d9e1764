"""Rounds of ColD Fusion: bodies that contributors have trained become the next shared one.

After "ColD Fusion: Collaborative Descent for Distributed Multitask Finetuning", arXiv:2212.01378.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergegraph.breed.heads import heads_of, is_private
from mergegraph.breed.recipes import divided_text
from mergegraph.errors import MergeGraphError, Problem, ProblemsError
from mergegraph.models.model import Model
from mergegraph.search.folder import write_text

ROUNDS = "rounds.json"


@dataclass(frozen=True)
class Round:
    """One round: what was shared before it, who contributed, and what is shared after it.

    Contributions are known by their digests; `scores` are of what is shared and of each
    contribution, where an evaluator was given.
    """

    number: int
    shared: str
    contributions: Mapping[str, str]
    heads: tuple[str, ...]
    result: str
    recipe: str
    scores: Mapping[str, Mapping[str, float]]
    scored_by: str | None

    @property
    def told(self) -> dict[str, Any]:
        """The round as it is written."""
        return {
            "number": self.number,
            "shared": self.shared,
            "contributions": [
                {"model": name, "digest": digest, "scores": self.scores.get(name)}
                for name, digest in self.contributions.items()
            ],
            "heads": list(self.heads),
            "result": self.result,
            "recipe": self.recipe,
            "scored_by": self.scored_by,
            "scores": self.scores.get(self.result),
        }


def read_rounds(folder: Path) -> list[dict[str, Any]]:
    """The rounds there have been in a folder; raises MergeGraphError if they cannot be read."""
    path = folder / ROUNDS
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["rounds"]
        return [dict(each) for each in found if each["number"] and each["contributions"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MergeGraphError(f"{path}: is no record of rounds ({error})") from error


def write_rounds(folder: Path, rounds: Sequence[Mapping[str, Any]]) -> None:
    """Write the record of all rounds."""
    text = json.dumps({"kind": "rounds", "rounds": list(rounds)}, indent=1, ensure_ascii=False)
    write_text(folder / ROUNDS, text + "\n")


def round_recipe(
    shared: str, contributions: Mapping[str, Model], start: Model, heads: Heads
) -> str:
    """The recipe of the next shared model: the mean of bodies, and the heads that are shared.

    Raises ProblemsError where a contribution has not the body that is shared.
    """
    check_bodies(start, contributions, heads)
    bodies = {shared: 0.0} | dict.fromkeys(contributions, 1.0)
    return divided_text(bodies, dict.fromkeys(heads, shared))


Heads = tuple[str, ...]


def shared_heads(start: Model) -> Heads:
    """The heads of what is shared."""
    return heads_of(start.tensors)


def check_bodies(start: Model, contributions: Mapping[str, Model], heads: Heads) -> None:
    """Refuse contributions that lack a tensor of the body, or have it in another shape."""
    problems = [
        p for name, each in contributions.items() for p in _misfits(start, each, name, heads)
    ]
    if problems:
        raise ProblemsError(problems)


def _misfits(start: Model, model: Model, name: str, heads: Heads) -> Iterator[Problem]:
    for tensor, task in start.tensors.items():
        if is_private(tensor, heads):
            continue
        if tensor not in model.tensors:
            yield Problem(f"{name}: {tensor}", "is missing, and it is part of the shared body")
        elif model.tensors[tensor].spec.shape != task.spec.shape:
            shapes = (model.tensors[tensor].spec.shape, task.spec.shape)
            yield Problem(
                f"{name}: {tensor}", f"is {shapes[0]}, and in the shared body {shapes[1]}"
            )
