"""Forms of holes: what may be searched, with its options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mergegraph.errors import Problem, nearest
from mergegraph.evolve import genes as made
from mergegraph.evolve.genes import Gene
from mergegraph.evolve.holes import Hole, is_number, is_same, labels_of
from mergegraph.recipe.holes import HOLE
from mergegraph.recipe.pieces import Piece

_MOST = 10_000
_DEEPEST = 2_000  # layers of a model
_TWO = 2


def inside(data: Any, step: str | int) -> Any:
    """What stands in a list or mapping; None if there is no such place."""
    if isinstance(data, dict):
        return data.get(str(step))
    return data[step] if isinstance(data, list) and isinstance(step, int) else None


def unknown(piece: Piece, words: Sequence[str]) -> Iterator[Problem]:
    """The keys of a mapping that mean nothing there."""
    for key, _ in piece.pairs:
        if key.data not in words:
            fact = f"unknown key '{key.data}' of a hole{nearest(str(key.data), words)}"
            yield Problem(key.place, fact)


def _is_plain(piece: Piece) -> bool:
    """Whether a piece is a mapping, and not a hole itself."""
    return isinstance(piece.data, dict) and piece.key_of(HOLE) is None


class FormReader:
    """Reads one hole of a document; `problems` is what is wrong with it."""

    def __init__(self, document: Any, piece: Piece, given: Piece, name: str, hole: Hole) -> None:
        self.document = document
        self.piece, self.given, self.name = piece, given, name
        self.hole = hole
        self.problems: list[Problem] = []

    def read(self) -> Hole | None:
        """The hole; None if it cannot be told what is meant."""
        forms: Mapping[str, Callable[[], Hole | None]] = {
            "range": self.range,
            "choice": self.choice,
            "weight": self.word,
            "density": self.word,
            "subset": self.subset,
            "path": self.path,
        }
        return forms[self.hole.kind]()

    # -- numbers ---------------------------------------------------------------------------------

    def range(self) -> Hole | None:
        """A number from one to another."""
        low, high = self.given.data
        if not low < high:
            self.wrong(self.given, f"[{low}, {high}] is no range; the lower number comes first")
            return None
        start = self.number("start", low, high)
        is_log, is_whole = self.flag("log"), self.flag("integer")
        step = self.number("step", 0, high - low)
        if not is_whole and not self.can_be_written(self.given, low, high):
            return None
        if is_log and low <= 0:
            self.wrong(self.given, f"log: {low} has no logarithm; begin above 0")
            return None
        if is_whole and (low != int(low) or high != int(high)):
            self.wrong(self.given, f"integer: [{low}, {high}] are not whole numbers")
            return None
        if step is not None and (is_log or is_whole or step == 0):
            fact = "step is a distance above 0, and stands with neither log nor integer"
            self.wrong(self.piece.of("step") or self.piece, fact)
            return None
        return self.spread(lambda name: self.gene(name, low, high, start, step, is_log, is_whole))

    def gene(
        self,
        name: str,
        low: float,
        high: float,
        start: float | None,
        step: float | None,
        is_log: bool,  # noqa: FBT001
        is_whole: bool,  # noqa: FBT001
    ) -> Gene:
        """The gene of a range."""
        if is_whole and is_log:
            return made.logarithmic_whole(name, int(low), int(high), start)
        if is_whole:
            return made.stepped(name, range(int(low), int(high) + 1), start)
        if step is None:
            return made.steady(name, low, high, start, is_log=is_log)
        times = round(min((high - low) / step, _MOST + 1))
        if abs(low + times * step - high) > step * 1e-6:
            fact = f"step {step} does not end at {high}"
            fact = f"step {step} is too small" if times > _MOST else fact
            self.wrong(self.piece.of("step") or self.piece, fact)
            return made.steady(name, low, high, start, is_log=False)
        least, most = made.written(low, high)
        numbers = [made.rounded(low + i * step) for i in range(times + 1)]
        numbers = [min(most, max(least, each)) for each in numbers]
        if len(set(numbers)) <= times:
            fact = f"step {step} is less than numbers of {made.DIGITS} digits can differ"
            self.wrong(self.piece.of("step") or self.piece, fact)
        return made.stepped(name, numbers, start)

    def can_be_written(self, piece: Piece, low: float, high: float) -> bool:
        """Whether a range has two numbers with as many digits as are written."""
        first, last = made.written(low, high)
        if first >= last:
            fact = f"[{low}, {high}] holds no two numbers of {made.DIGITS} digits"
            self.wrong(piece, f"{fact}, which is how they are written")
        return first < last

    def word(self) -> Hole | None:
        """A weight or a density as evolutionary merging was published."""
        if self.hole.kind == "density":
            start = self.number("start", 0, 1)
            return self.spread(lambda name: made.density(name, 1.0 if start is None else start))
        is_signed = self.flag("negative")
        start = self.number("start", -2 if is_signed else 0, 2)
        begun = 1 / self.beside() if start is None else start
        return self.spread(lambda name: made.weight(name, begun, may_be_negative=is_signed))

    def beside(self) -> int:
        """How many models are merged where the hole stands."""
        data = self.document
        counts = [len(data["models"])] if isinstance(data.get("models"), list) else []
        for step in self.piece.path:
            data = inside(data, step)
            if step in ("models", "sources") and isinstance(data, list):
                counts.append(len(data))
        return counts[-1] if counts else 1

    def spread(self, gene: Callable[[str], Gene]) -> Hole | None:
        """A gene, or one for each group of layers or anchor of a gradient."""
        groups, anchors = self.whole("groups", 1), self.whole("layers", 2)
        count = self.whole("of", 1)
        if groups is not None and anchors is not None:
            self.wrong(self.piece, "groups are constant and layers a gradient; give one of them")
        if count is not None and (groups is None or count < groups):
            fact = f"of: {count} is the number of layers, for at most as many groups"
            self.wrong(self.piece.of("of") or self.piece, fact)
        many = groups or anchors
        names = [self.name] if many is None else [f"{self.name}.{i + 1}" for i in range(many)]
        return replace(
            self.hole,
            genes=tuple(map(gene, names)),
            groups=groups,
            anchors=anchors,
            count=count,
        )

    # -- choices ---------------------------------------------------------------------------------

    def choice(self) -> Hole | None:
        """One of some values."""
        listed = self.given.of("choices") or self.given
        options = listed.items
        if len(options) < _TWO:
            self.wrong(listed, "a choice is a list of two things and more")
            return None
        if self.hole.is_merged and not all(_is_plain(each) for each in options):
            self.wrong(listed, "'<<' takes a choice between mappings")
            return None
        values = [each.data for each in options]
        for i, each in enumerate(options):
            if any(is_same(each.data, other) for other in values[:i]):
                self.wrong(each, "stands among the choices twice")
        start = self.piece.of("start")
        begun = None
        if start is not None:
            begun = next((i for i, each in enumerate(values) if is_same(each, start.data)), None)
            if begun is None:
                self.wrong(start, "start is none of the choices")
        is_ordered = all(map(is_number, values)) and list(values) == sorted(values)
        gene = made.chosen(self.name, labels_of(options), begun, is_ordered=is_ordered)
        return replace(self.hole, genes=(gene,), options=options)

    def subset(self) -> Hole | None:
        """Some of a list's parts."""
        listed = self.given.of("subset")
        if listed is None or len(listed.items) < _TWO:
            self.wrong(self.given, "a subset is of a list of two things and more")
            return None
        bounds = self.bounds(len(listed.items), 1)
        genes = [made.switch(f"{self.name}.{each}") for each in labels_of(listed.items)]
        return replace(
            self.hole,
            genes=tuple(genes),
            options=listed.items,
            least=bounds[0],
            most=bounds[1],
        )

    # -- paths through layers --------------------------------------------------------------------

    def path(self) -> Hole | None:
        """A path through the layers of models, each model's in turn, and all of it repeatedly."""
        listed = self.given.of("path")
        if listed is None or not listed.items:
            self.wrong(self.given, "path is a list of {model: NAME, layers: [first, end]}")
            return None
        layers = [slot for each in listed.items for slot in self.layers(each)]
        repeats = self.whole("repeats", 1, self.given) or 1
        scales = self.given.of("scales")
        if scales is not None and not self.are_scales(scales.data):
            self.wrong(scales, "scales are [low, high], both above 0")
            return None
        if scales is not None and not self.can_be_written(scales, *scales.data):
            return None
        if len(layers) * repeats > _MOST:
            self.wrong(self.given, f"a path has at most {_MOST} slots")
            return None
        slots = [(f"{model}.{n}", r) for r in range(repeats) for model, n in layers]
        named = [f"{word} #{r + 1}" if r else word for word, r in slots]
        first = layers[0][0] if layers else ""
        on = [r == 0 and word.rpartition(".")[0] == first for word, r in slots]
        genes = [
            made.switch(f"{self.name}.{each}", is_on=is_on)
            for each, is_on in zip(named, on, strict=True)
        ]
        if scales is not None:
            low, high = scales.data
            start = 1.0 if low <= 1 <= high else None
            genes += [
                made.steady(f"{self.name}.{each} scale", low, high, start, is_log=False)
                for each in named
            ]
        least, most = self.bounds(len(slots), 0)
        return replace(
            self.hole,
            genes=tuple(genes),
            options=listed.items,
            least=least,
            most=most,
            repeats=repeats,
            has_scales=scales is not None,
        )

    def layers(self, each: Piece) -> Iterator[tuple[str, int]]:
        """The layers that one part of a path names."""
        self.problems += unknown(each, ("model", "layers"))
        data = each.data if isinstance(each.data, dict) else {}
        model, found = data.get("model"), data.get("layers")
        is_pair = isinstance(found, list) and [type(e) for e in found] == [int, int]
        if not isinstance(model, str) or not isinstance(found, list) or not is_pair:
            self.wrong(each, "a part of a path is {model: NAME, layers: [first, end]}")
        elif not 0 <= found[0] < found[1] <= _DEEPEST:
            self.wrong(each, f"layers {found} are [first, one after the last]")
        else:
            yield from ((model, layer) for layer in range(*found))

    def are_scales(self, data: Any) -> bool:
        """Whether a value is a range of scales."""
        is_pair = isinstance(data, list) and len(data) == _TWO and all(map(is_number, data))
        return is_pair and 0 < data[0] < data[1]

    # -- options ---------------------------------------------------------------------------------

    def bounds(self, count: int, least: int) -> tuple[int, int]:
        """How many of some things there are to be."""
        low = self.whole("least", 0, self.given)
        high = self.whole("most", 1, self.given)
        low, high = least if low is None else low, count if high is None else high
        if not low <= high <= count:
            fact = f"least {low} and most {high} do not fit: there are {count}"
            self.wrong(self.given, fact)
        return low, high

    def number(self, word: str, low: float, high: float) -> float | None:
        """An option that is a number within bounds."""
        found = self.piece.of(word)
        if found is None:
            return None
        if not is_number(found.data) or not low <= found.data <= high:
            self.wrong(found, f"{word} {found.data!r} is no number from {low} to {high}")
            return None
        return float(found.data)

    def whole(self, word: str, least: int, among: Piece | None = None) -> int | None:
        """An option that is a whole number."""
        found = (among or self.piece).of(word)
        if found is None:
            return None
        if type(found.data) is not int or not least <= found.data <= _MOST:
            self.wrong(found, f"{word} {found.data!r} is no whole number from {least} on")
            return None
        return found.data

    def flag(self, word: str) -> bool:
        """An option that is true or false."""
        found = self.piece.of(word)
        if found is not None and not isinstance(found.data, bool):
            self.wrong(found, f"{word} is true or false")
        return found is not None and found.data is True

    def wrong(self, piece: Piece, fact: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(piece.place, fact))
