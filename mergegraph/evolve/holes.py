"""Holes of a recipe: where `{search: ...}` stands, and what may be put there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mergegraph.evolve.genes import Gene
from mergegraph.recipe.pieces import Piece

MERGED = "<<"


@dataclass(frozen=True, eq=False)
class Hole:
    """A place of a recipe for which values are searched.

    `key` is what it is the value of, and `holder` what it is in. `shape` is how its genes become a
    value: one value, so many groups of layers, or so many anchors of a gradient.
    """

    piece: Piece
    key: Piece | None
    holder: Piece | None
    kind: str
    genes: tuple[Gene, ...]
    options: tuple[Piece, ...] = ()
    least: int = 0
    most: int = 0
    groups: int | None = None
    anchors: int | None = None
    count: int | None = None  # of layers, if it is said
    repeats: int = 1
    has_scales: bool = False
    name: str = ""

    @property
    def is_merged(self) -> bool:
        """Whether the keys of what is chosen stand among those of what it is in."""
        return self.key is not None and self.key.data == MERGED


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are of one kind and equal."""
    return type(one) is type(other) and bool(one == other)


def labels_of(options: Sequence[Piece]) -> tuple[str, ...]:
    """What choices are called in records: each another name."""
    found: list[str] = []
    for number, each in enumerate(options, 1):
        label = label_of(each.data)
        found.append(label if label and label not in found else f"{label} {number}".strip())
    return tuple(found)


def label_of(data: Any) -> str:
    """What a choice is called; nothing if it has no name of its own."""
    if isinstance(data, dict):
        names = (data.get(word) for word in ("name", "model", "merge_method"))
        return next((each for each in names if isinstance(each, str)), "")
    if isinstance(data, list):
        return ", ".join(map(label_of, data))
    words = {True: "true", False: "false"}
    return "null" if data is None else words[data] if isinstance(data, bool) else str(data)
