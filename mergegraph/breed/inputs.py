"""The models that a population begins with: whether they differ, and what they are stored as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import combinations

from mergegraph.errors import MergeGraphError, RunError
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.library import Library
from mergegraph.models.model import Model
from mergegraph.spec import Spec

_WIDEST = "float32"
_CHUNK = 2**22


def open_models(references: Sequence[str], library: Library) -> dict[str, Model]:
    """Models by what they were called; raises MergeGraphError if one is not there or not sound."""
    shelf = library.shelf()
    return {each: shelf.model(each) for each in references}


def check_different(models: Mapping[str, Model], marks: Mapping[str, str]) -> None:
    """Refuse models that are the same, or have the same bytes; `marks` is what tells them apart."""
    for first, second in combinations(models, 2):
        if marks[first] == marks[second] and _are_equal(models[first], models[second]):
            fact = "have the same weights, and nothing comes of merging them"
            raise MergeGraphError(f"{first} and {second}: {fact}; leave one out")


def common_dtype(models: Mapping[str, Model]) -> str:
    """The dtype of all floats of some models, or else one that holds them all."""
    found = {
        dtype
        for model in models.values()
        for dtype in model.stored.values()
        if Spec((), dtype).is_float
    }
    return found.pop() if len(found) == 1 else "float64" if "float64" in found else _WIDEST


def _are_equal(first: Model, second: Model) -> bool:
    """Whether two models whose samples are the same are so in every byte."""
    pairs = zip(first.parents, second.parents, strict=True)
    return all(_digests(a) == _digests(b) for a, b in pairs)


def _digests(checkpoint: Checkpoint) -> list[str]:
    tree = checkpoint.tree
    if not tree.is_local:
        return [tree.identity(name) for name in checkpoint.headers]
    found = []
    for name in checkpoint.headers:
        digest = sha256()
        try:
            with (tree.root / name).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise RunError(f"{tree.root / name}: cannot be read: {error.strerror}") from error
        found.append(digest.hexdigest())
    return found
