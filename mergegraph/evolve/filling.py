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

# what stands between the parts of lists, with comments
_ANCHORED = re.compile(r"&[^\s,\[\]{}]+(?:\s+#[^\n]*)*\s*\Z")
_COMMA = re.compile(r"(?:\s+#[^\n]*)*\s*,(?:[ \t]*(?![ \t#]))?")
_COMMA_BEFORE = re.compile(r",(?:\s+#[^\n]*)*\s*\Z")
_DASH = re.compile(r"-(?:\s+#[^\n]*)*\s+\Z")
_LINE_BEFORE = re.compile(r"\n[ \t]*\Z")
_REST = re.compile(r"[ \t]+#[^\n]*")


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
            first, last = region_of(self.text, hole)
            if at <= first and last <= end:
                value = self.value(hole)
                if self.is_nothing(hole):
                    first, last, value = self.emptied(hole, start, end)
                made += [self.text[at : max(at, first)], value]
                at = last
        return "".join([*made, self.text[at:end]])

    def is_nothing(self, hole: Hole) -> bool:
        """Whether a hole is a part of a list of which nothing comes."""
        return is_spliced(hole) and not self.parts(hole)

    def emptied(self, hole: Hole, start: int, end: int) -> tuple[int, int, str]:
        """What is taken out of a list for nothing, and what stands there for a list of nothing."""
        first = _begun(_ANCHORED, self.text, start, hole.piece.start)
        if hole.holder is None or not hole.holder.is_block:
            comma = _COMMA.match(self.text, hole.piece.end, end)
            if comma:
                return first, comma.end(), ""
            return _begun(_COMMA_BEFORE, self.text, start, first), hole.piece.end, ""
        rest = _REST.match(self.text, hole.piece.end, end)
        last = rest.end() if rest else hole.piece.end
        dash = _begun(_DASH, self.text, start, first)
        if hole.holder.items[0] is hole.piece and self.is_list_of_nothing(hole.holder):
            return dash, last, " []"
        return _begun(_LINE_BEFORE, self.text, start, dash), last, ""

    def is_list_of_nothing(self, holder: Piece) -> bool:
        """Whether nothing comes of all parts of a list."""
        holes = [self.by_start.get(each.start) for each in holder.items]
        return all(each and each.holder is holder and self.is_nothing(each) for each in holes)

    def value(self, hole: Hole) -> str:
        """What is put in the place of a hole's region."""
        if hole.is_merged:
            return self.pairs(hole)
        after_colon = region_of(self.text, hole)[0] != hole.piece.start
        if hole.kind in ("subset", "path"):
            return self.listed(hole, self.parts(hole), after_colon=after_colon)
        if hole.kind != "choice":
            return (": " if after_colon else "") + self.number(hole)
        option = self.option(hole)
        alias = "" if hole.piece.anchor else self.alias(option)  # which takes no anchor
        if option.is_block and not alias and after_colon and hole.key is not None:
            column = max(hole.piece.column, hole.key.column + 2)
            return f":\n{' ' * column}{self.copied(option, column)}"
        return (": " if after_colon else "") + (alias or self.copied(option, hole.piece.column))

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
        if is_spliced(hole):
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
        """The alias of a piece, or its text, filled, with its lines moved to a column."""
        return self.alias(piece) or self.copied(piece, column)

    def copied(self, piece: Piece, column: int) -> str:
        """The text of a piece, filled, with its lines moved to a column."""
        return _shifted(self.render(piece.start, piece.end), column - piece.column)

    def alias(self, piece: Piece) -> str:
        """The alias of what is anchored outside all holes, where it stays; nothing of others."""
        at = self.text.rfind("&", 0, piece.start)
        regions = (region_of(self.text, each) for each in self.holes)
        is_there = piece.anchor and not any(start <= at < end for start, end in regions)
        return f"*{piece.anchor}" if is_there else ""

    def pairs(self, hole: Hole) -> str:
        """The keys and values of what is chosen, in the place of `<<`."""
        option, key = self.option(hole), hole.key
        assert key is not None, "it is the value of <<"
        if alias := self.alias(option):
            return f"<<: {alias}"
        if option.is_block:
            return self.moved(option, key.column)
        told = [self.render(word.start, value.end) for word, value in option.pairs]
        is_block = hole.holder is not None and hole.holder.is_block
        return (f"\n{' ' * key.column}" if is_block else ", ").join(told)


def region_of(text: str, hole: Hole) -> tuple[int, int]:
    """What is taken out for a value: from the colon on, if nothing stands between."""
    piece, key = hole.piece, hole.key
    if key is not None and hole.is_merged:
        return key.start, piece.end
    if key is not None and re.fullmatch(r"\s*:\s*", text[key.end : piece.start]):
        return key.end, piece.end
    return piece.start, piece.end


def is_spliced(hole: Hole) -> bool:
    """Whether a hole is a part of a list, and not one of some choices, and becomes many parts."""
    *before, last = ("", *hole.piece.path)
    is_item = isinstance(last, int) and before[-1] not in (HOLE, "choices")
    return hole.kind in ("subset", "path") and hole.key is None and is_item


def _begun(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    """Where what ends a part of a text begins; the part's end if there is no such thing."""
    found = pattern.search(text, start, end)
    return found.start() if found else end


def _shifted(text: str, columns: int) -> str:
    """A text with all lines but the first moved to the right, or to the left."""
    first, *others = text.split("\n")
    if columns >= 0:
        moved = [" " * columns + each if each.strip() else each for each in others]
    else:
        moved = [each[min(-columns, len(each) - len(each.lstrip(" "))) :] for each in others]
    return "\n".join([first, *moved])
