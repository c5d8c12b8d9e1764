"""The space of a search: a recipe's genes, and the recipe that each point of it stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergegraph.errors import MergeGraphError, Problem, ProblemsError
from mergegraph.evolve.filling import Filler, Values
from mergegraph.evolve.finding import HoleReader
from mergegraph.evolve.genes import Gene, Point, switched_on
from mergegraph.evolve.holes import Hole
from mergegraph.evolve.layers import Layers, count_for
from mergegraph.evolve.paths import slices_of, steps_of
from mergegraph.library import Library
from mergegraph.recipe.pieces import pieces_of


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
    first: dict[str, tuple[Gene, Hole]] = {}
    found = []
    for hole in holes:
        for gene in hole.genes:
            other, place = first.setdefault(gene.name, (gene, hole))
            if _sort(other, place) != _sort(gene, hole):
                fact = f"'{gene.name}' is searched in another way at {place.piece.place}"
                remedy = "give one of them another name"
                found.append(Problem(hole.piece.place, f"{fact}; {remedy}"))
    return found


def _sort(gene: Gene, hole: Hole) -> tuple[Any, ...]:
    """What must be equal in holes of one name."""
    bounds = (hole.kind, hole.least, hole.most, len(hole.genes))
    own = (gene.form, gene.bounds, gene.levels, gene.start, gene.low, gene.high, gene.choices)
    return (*own, *bounds, gene.value(gene.within(0.3)))
