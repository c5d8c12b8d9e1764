"""Filling holes: values put into a recipe's text where the holes are, all else left as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from mergegraph.evolve.genes import Coordinate, Gene, number_text, switched_on
from mergegraph.evolve.holes import Hole
from mergegraph.recipe.holes import HOLE
from mergegraph.recipe.pieces import Piece

Values = Mapping[str, Coordinate]  # a coordinate for each gene, by name
Slots = Callable[[Hole, Values], Sequence[str]]  # the slices of a path, as texts


class Filler:
    """Fills one text with values."""

    def __init__(
        self,
        text: str,
        holes: Sequence[Hole],
        values: Values,
        counts: Mapping[int, int],
        slices: Slots,
    ) -> None:
        self.text, self.values = text, values
        self.holes = sorted(holes, key=lambda each: each.piece.start)
        self.by_start = {each.piece.start: each for each in holes}
        self.counts = counts  # of layers, by where a hole with groups begins
        self.slices = slices
        self.used: dict[str, Gene] = {}

    def filled(self) -> str:
        """The whole text."""
        return self.render(0, len(self.text))

    def render(self, start: int, end: int) -> str:
        """A part of the text, with the holes in it filled."""
        made, at = [], start
        for hole in self.holes:
            first, last = self.region(hole)
            if at <= first and last <= end:
                made += [self.text[at:first], self.value(hole)]
                at = last
        return "".join([*made, self.text[at:end]])

    def region(self, hole: Hole) -> tuple[int, int]:
        """What is taken out for a value: from the colon on, if nothing stands between."""
        piece, key = hole.piece, hole.key
        if key is not None and hole.is_merged:
            return key.start, piece.end
        if key is not None and re.fullmatch(r"\s*:\s*", self.text[key.end : piece.start]):
            return key.end, piece.end
        return piece.start, piece.end

    def value(self, hole: Hole) -> str:
        """What is put in the place of a hole's region."""
        if hole.is_merged:
            return self.pairs(hole)
        after_colon = self.region(hole)[0] != hole.piece.start
        if hole.kind in ("subset", "path"):
            return self.listed(hole, self.parts(hole), after_colon=after_colon)
        if hole.kind != "choice":
            return (": " if after_colon else "") + self.number(hole)
        option = self.option(hole)
        if option.is_block and after_colon and hole.key is not None:
            column = max(hole.piece.column, hole.key.column + 2)
            return f":\n{' ' * column}{self.moved(option, column)}"
        return (": " if after_colon else "") + self.moved(option, hole.piece.column)

    # -- values ----------------------------------------------------------------------------------

    def coordinate(self, gene: Gene) -> Coordinate:
        """What stands for a gene's value, which is noted as used."""
        self.used[gene.name] = gene
        return self.values[gene.name]

    def number(self, hole: Hole) -> str:
        """A number, or a list of them over the layers."""
        told = [number_text(each.value(self.coordinate(each))) for each in hole.genes]
        if hole.groups is not None:
            count = self.counts[hole.piece.start]
            told = [told[layer * len(told) // count] for layer in range(count)]
        is_list = hole.groups is not None or hole.anchors is not None
        return f"[{', '.join(told)}]" if is_list else told[0]

    def option(self, hole: Hole) -> Piece:
        """What is chosen."""
        return hole.options[int(self.coordinate(hole.genes[0]))]

    def parts(self, hole: Hole) -> list[tuple[str, Piece | None]]:
        """The parts of a list, as texts, or pieces to be moved to where they go."""
        switches = [each for each in hole.genes if each.form == "switch"]
        on = switched_on([self.coordinate(each) for each in switches], hole.least, hole.most)
        if hole.kind == "path":
            for i in on if hole.has_scales else ():
                self.coordinate(hole.genes[len(switches) + i])
            return [(each, None) for each in self.slices(hole, self.values)]
        found: list[tuple[str, Piece | None]] = []
        for option in (hole.options[i] for i in on):
            inner = self.by_start.get(option.start)
            is_list = inner is not None and inner.kind == "subset"
            found += self.parts(inner) if inner and is_list else [("", option)]
        return found

    # -- texts -----------------------------------------------------------------------------------

    def listed(
        self, hole: Hole, parts: Sequence[tuple[str, Piece | None]], *, after_colon: bool
    ) -> str:
        """A list: a line for each part where the recipe is written so."""
        if hole.key is None and self.is_item(hole):
            return self.spliced(hole, parts)
        if after_colon and hole.key and hole.holder and hole.holder.is_block and parts:
            column = hole.key.column + 2
            lines = [f"\n{' ' * column}- {self.part(each, column + 2)}" for each in parts]
            return ":" + "".join(lines)
        column = hole.piece.column
        if hole.piece.is_block and parts:  # as what is chosen, or alone
            between = f"\n{' ' * column}- "
            return "- " + between.join(self.part(each, column + 2) for each in parts)
        told = ", ".join(self.part(each, column) for each in parts)
        return f"{': ' if after_colon else ''}[{told}]"

    def is_item(self, hole: Hole) -> bool:
        """Whether a hole is a part of a list, and not one of some choices."""
        *before, last = ("", *hole.piece.path)
        return isinstance(last, int) and before[-1] not in (HOLE, "choices")

    def spliced(self, hole: Hole, parts: Sequence[tuple[str, Piece | None]]) -> str:
        """Parts of a list among others of it."""
        column, holder = hole.piece.column, hole.holder
        between = ", "
        if holder is not None and holder.is_block:
            between = f"\n{' ' * holder.column}-".ljust(column + 1)
        return between.join(self.part(each, column) for each in parts)

    def part(self, part: tuple[str, Piece | None], column: int) -> str:
        """One part, moved to a column."""
        text, piece = part
        return text if piece is None else self.moved(piece, column)

    def moved(self, piece: Piece, column: int) -> str:
        """The text of a piece, filled, with its lines moved to a column."""
        return _shifted(self.render(piece.start, piece.end), column - piece.column)

    def pairs(self, hole: Hole) -> str:
        """The keys and values of what is chosen, in the place of `<<`."""
        option, key = self.option(hole), hole.key
        assert key is not None, "it is the value of <<"
        if option.is_block:
            return self.moved(option, key.column)
        told = [self.render(word.start, value.end) for word, value in option.pairs]
        is_block = hole.holder is not None and hole.holder.is_block
        return (f"\n{' ' * key.column}" if is_block else ", ").join(told)


def _shifted(text: str, columns: int) -> str:
    """A text with all lines but the first moved to the right, or to the left."""
    first, *others = text.split("\n")
    if columns >= 0:
        moved = [" " * columns + each if each.strip() else each for each in others]
    else:
        moved = [each[min(-columns, len(each) - len(each.lstrip(" "))) :] for each in others]
    return "\n".join([first, *moved])
