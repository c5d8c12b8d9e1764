"""The space of a search: a recipe's genes, and the recipe that each point of it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergegraph.errors import MergeGraphError, Problem, ProblemsError
from mergegraph.evolve.filling import Filler, Values, is_spliced, region_of
from mergegraph.evolve.finding import HoleReader
from mergegraph.evolve.genes import Gene, Point, switched_on
from mergegraph.evolve.holes import Hole
from mergegraph.evolve.layers import Layers, count_for
from mergegraph.evolve.paths import slices_of, steps_of
from mergegraph.library import Library
from mergegraph.recipe.pieces import Piece, behind_anchor, pieces_of
from mergegraph.recipe.source import Alias, aliases_of


@dataclass(frozen=True)
class Filled:
    """A recipe without holes, and the values that went into it, by gene."""

    text: str
    values: Mapping[str, Any]


class Space:
    """What a recipe with holes can become."""

    def __init__(
        self,
        text: str,
        holes: Sequence[Hole],
        counts: Mapping[int, int],
        writers: Callable[[str], Sequence[str]],
    ) -> None:
        self.text, self.holes, self.counts = text, holes, counts
        self.writers = writers
        self.genes = _genes_of(holes)

    def filled(self, point: Point) -> Filled:
        """The recipe at a point; raises MergeGraphError if there is none."""
        values = {gene.name: each for gene, each in zip(self.genes, point, strict=True)}
        filler = Filler(self.text, self.holes, values, self.counts, self.slices)
        text = filler.filled()
        return Filled(text, self.told(values, filler.used))

    def slices(self, hole: Hole, values: Values) -> list[str]:
        """The slices that a path comes to."""
        written = {
            piece.data["model"]: self.text[value.start : value.end]
            for piece in hole.options
            if (value := piece.of("model"))
        }
        return slices_of(steps_of(hole, values), self.writers, written.__getitem__)

    def told(self, values: Values, used: Mapping[str, Gene]) -> dict[str, Any]:
        """The values of the genes that have a say, as records have them."""
        told: dict[str, Any] = {}
        for hole in self.holes:
            switches = [each for each in hole.genes if each.form == "switch"]
            on = switched_on([values[each.name] for each in switches], hole.least, hole.most)
            told |= {each.name: i in on for i, each in enumerate(switches)}
            for gene in hole.genes:
                if gene.form != "switch":
                    found = gene.value(values[gene.name])
                    told[gene.name] = gene.choices[int(found)] if gene.choices else found
        return {gene.name: told[gene.name] for gene in self.genes if gene.name in used}

    @property
    def start(self) -> Point:
        """Where a search begins."""
        return tuple(each.start for each in self.genes)


def read_space(file: str, text: str, library: Library) -> Space:
    """The space of a recipe's text; raises MergeGraphError if its holes are not sound."""
    documents = pieces_of(file, text)
    holes: list[Hole] = []
    problems: list[Problem] = []
    counts: dict[int, int] = {}
    layers = Layers(library)
    named: dict[str, bool] = {}
    for document in documents:
        name = document.data.get("name") if isinstance(document.data, dict) else None
        stage = name if isinstance(name, str) and len(documents) > 1 else None
        reader = HoleReader(document, stage, named)
        holes += reader.holes.values()
        problems += reader.problems
        datas = [each.data for each in documents]
        for hole in reader.holes.values():
            if hole.groups is not None and not reader.problems:
                found = count_for(hole, document.data, datas, layers.count)
                counts[hole.piece.start] = found
    problems += _conflicts(holes)
    problems += _lost_anchors(text, holes, aliases_of(file, text))
    if problems:
        raise ProblemsError(problems)
    if not holes:
        fact = "has no holes; put {search: [low, high]} where a value is to be found"
        raise MergeGraphError(f"{file}: {fact}, or merge it as it is with mergegraph run")
    for hole in holes:
        for piece in hole.options if hole.has_scales else ():
            layers.writers(piece.data["model"])
    return Space(text, holes, counts, layers.writers)


def _genes_of(holes: Sequence[Hole]) -> tuple[Gene, ...]:
    """Every gene once, in the order of the text."""
    ordered = sorted(holes, key=lambda each: each.piece.start)
    return tuple({each.name: each for hole in ordered for each in hole.genes}.values())


def _conflicts(holes: Sequence[Hole]) -> list[Problem]:
    """Holes of one name that are not searched in one way."""
    named: dict[str, Hole] = {}
    genes: dict[str, Hole] = {}
    found = []
    for hole in holes:
        others = [(hole.name, named.setdefault(hole.name, hole))]
        others += [(each.name, genes.setdefault(each.name, hole)) for each in hole.genes]
        for name, other in others:
            if _sort(other) != _sort(hole):
                fact = f"'{name}' is searched in another way at {other.piece.place}"
                remedy = "give one of them another name"
                found.append(Problem(hole.piece.place, f"{fact}; {remedy}"))
                break
    return found


def _sort(hole: Hole) -> tuple[Any, ...]:
    """What must be equal in holes of one name."""
    own = (hole.kind, hole.least, hole.most, hole.groups, hole.anchors)
    return (*own, *(_gene_sort(each) for each in hole.genes))


def _gene_sort(gene: Gene) -> tuple[Any, ...]:
    """What must be equal in genes of one name."""
    own = (gene.name, gene.form, gene.bounds, gene.levels, gene.start, gene.low, gene.high)
    return (*own, gene.choices, gene.value(gene.within(0.3)))


def _lost_anchors(text: str, holes: Sequence[Hole], aliases: Sequence[Alias]) -> Iterator[Problem]:
    """Aliases of what is not there, or not whole, in all recipes that the holes are filled to."""
    regions = [(hole, *region_of(text, hole)) for hole in holes]
    for alias in aliases:
        within = [hole for hole, start, end in regions if start <= alias.start < end]
        around = [hole for hole, start, end in regions if start <= alias.anchored < end]
        target = behind_anchor(text, alias.anchored)
        is_written = all(
            _option_at(hole, alias.start) is not None or _is_lines_in_braces(hole, target)
            for hole in within
        )
        is_lost = any(
            (option := _option_at(hole, alias.anchored)) is None
            or option is not _option_at(hole, alias.start)
            for hole in around
        )
        if any(is_spliced(hole) and hole.piece.start == target for hole in holes):
            fact = f"the anchor '{alias.name}' is of a part of a list that becomes many"
            yield Problem(alias.place, f"{fact}; write it anew")
        elif is_written and is_lost:
            fact = f"the anchor '{alias.name}' stands in a hole, and is used outside it"
            yield Problem(alias.place, f"{fact}; write what it stands for, or anchor it before")


def _option_at(hole: Hole, at: int) -> Piece | None:
    """What may be chosen in a hole, and is written as it stands, at a place of the text."""
    if hole.kind not in ("choice", "subset"):
        return None
    return next((each for each in hole.options if each.start <= at < each.end), None)


def _is_lines_in_braces(hole: Hole, start: int) -> bool:
    """Whether what begins somewhere is chosen in a hole in braces, and is written in lines."""
    return not hole.piece.is_block and any(e.start == start and e.is_block for e in hole.options)
