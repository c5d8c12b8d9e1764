"""Grids: tensors by kind and layer, each kind a row and each layer a column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from mergegraph.report.figures import Table
from mergegraph.report.kinds import Spot, kinds_of, spot_of


class Named(Protocol):
    """Something that is known of a tensor."""

    @property
    def name(self) -> str:
        """The tensor's name."""


Item = TypeVar("Item", bound=Named)


@dataclass(frozen=True)
class Grid(Generic[Item]):
    """What is known of the tensors of a model, in rows and columns."""

    items: Sequence[Item]

    @cached_property
    def cells(self) -> dict[Spot, list[Item]]:
        """What is known, by where it stands."""
        found: dict[Spot, list[Item]] = {}
        for each in self.items:
            found.setdefault(spot_of(each.name), []).append(each)
        return found

    @cached_property
    def kinds(self) -> list[str]:
        """The kinds of tensors that layers have."""
        return kinds_of(self.cells)

    @cached_property
    def layers(self) -> list[tuple[str, int]]:
        """The layers, stack by stack."""
        found = {(each.stack, each.layer): None for each in self.cells if each.layer is not None}
        stacks = list(dict.fromkeys(stack for stack, _ in found))
        places = [(stack, layer) for stack, layer in found if layer is not None]
        return sorted(places, key=lambda each: (stacks.index(each[0]), each[1]))

    @property
    def names(self) -> list[str]:
        """What the columns are called: the layers' numbers, with their stacks if there are more."""
        stacks = {stack for stack, _ in self.layers}
        if len(stacks) < 2:  # noqa: PLR2004 - one stack needs no name
            return [str(layer) for _, layer in self.layers]
        return [f"{stack.split('.')[0][:3]}{layer}" for stack, layer in self.layers]

    def values(self, told: Callable[[Sequence[Item]], float | None]) -> list[list[float | None]]:
        """What is told of the tensors of each cell; None where there are none."""
        return [
            [
                told(found) if (found := self.cells.get(Spot(stack, layer, kind))) else None
                for stack, layer in self.layers
            ]
            for kind in self.kinds
        ]

    def by_layer(self, told: Callable[[Sequence[Item]], float | None]) -> list[float | None]:
        """What is told of all tensors of each layer."""
        return [told(self.of_layer(each)) for each in self.layers]

    def of_layer(self, place: tuple[str, int]) -> list[Item]:
        """What is known of a layer."""
        return [
            item
            for spot, items in self.cells.items()
            if (spot.stack, spot.layer) == place
            for item in items
        ]

    def table(self, caption: str, values: Sequence[Sequence[float | None]]) -> Table:
        """The same as numbers."""
        rows = [[kind, *row] for kind, row in zip(self.kinds, values, strict=True)]
        return Table(caption, ["kind", *(f"layer {each}" for each in self.names)], rows)
