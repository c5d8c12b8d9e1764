"""Paths through layers: slices of single layers, with learned scales folded into their weights.

Multiplying the input of block k by s_k is the same, in a network that normalises what its blocks
read and what its head reads, as leaving the stream alone and dividing what block k adds to it by
S_k, the product of s_1 to s_k: every norm takes the factor out of what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mergegraph.errors import MergeGraphError
from mergegraph.evolve.filling import Values
from mergegraph.evolve.genes import number_text, rounded, switched_on
from mergegraph.evolve.holes import Hole


class EmptyPathError(MergeGraphError):
    """A path without a single layer, which no model comes of."""


@dataclass(frozen=True)
class Step:
    """One layer of a path, and the factor of its input."""

    model: str
    layer: int
    scale: float


def path_of(
    slots: Sequence[tuple[str, int]],
    on: Sequence[int],
    scales: Sequence[float] | None,
) -> tuple[Step, ...]:
    """The layers that are used, in order."""
    return tuple(Step(*slots[i], 1.0 if scales is None else scales[i]) for i in on)


def steps_of(hole: Hole, values: Values) -> tuple[Step, ...]:
    """The path that values stand for; raises EmptyPathError if no layer is used."""
    slots = hole.repeats * [
        (piece.data["model"], layer)
        for piece in hole.options
        for layer in range(*piece.data["layers"])
    ]
    switches, others = hole.genes[: len(slots)], hole.genes[len(slots) :]
    on = switched_on([values[each.name] for each in switches], hole.least, hole.most)
    if not on:
        raise EmptyPathError("the path has no layer")
    scales = [float(each.value(values[each.name])) for each in others]
    return path_of(slots, on, scales if hole.has_scales else None)


def slices_of(
    steps: Sequence[Step], writers: Callable[[str], Sequence[str]], told: Callable[[str], str]
) -> list[str]:
    """The slices of a recipe that take a path, neighbours in one where nothing is between them.

    `told` has a model's reference as the recipe writes it.
    """
    made: list[tuple[str, int, int, float]] = []
    product = 1.0
    for step in steps:
        product *= step.scale
        factor = rounded(1 / product)
        if made and made[-1][::2] == (step.model, step.layer) and made[-1][3] == factor:
            model, first, _, _ = made.pop()
            made.append((model, first, step.layer + 1, factor))
        else:
            made.append((step.model, step.layer, step.layer + 1, factor))
    return [_slice(told(m), first, end, f, writers, m) for m, first, end, f in made]


def _slice(
    told: str,
    first: int,
    end: int,
    factor: float,
    writers: Callable[[str], Sequence[str]],
    model: str,
) -> str:
    scaled = ""
    if factor != 1:
        value = number_text(factor)
        rules = ", ".join(f"{{filter: {each}, value: {value}}}" for each in writers(model))
        scaled = f", parameters: {{scale: [{rules}]}}"
    return f"sources: [{{model: {told}, layer_range: [{first}, {end}]{scaled}}}]"
