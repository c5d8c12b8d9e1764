"""Finding the holes of a recipe's documents."""

from __future__ import annotations

from collections.abc import Iterator

from mergegraph.errors import Problem, nearest
from mergegraph.evolve.forms import FormReader, unknown
from mergegraph.evolve.holes import MERGED, Hole, is_number, label_of
from mergegraph.recipe.holes import HOLE, NAMED
from mergegraph.recipe.pieces import Piece
from mergegraph.recipe.source import Path

_NUMBERS = ("log", "step", "integer", "groups", "layers", "of")
_OPTIONS = {
    "range": ("name", "start", *_NUMBERS),
    "choice": ("name", "start"),
    "weight": ("name", "start", "negative", "groups", "layers", "of"),
    "density": ("name", "start", "groups", "layers", "of"),
    "subset": ("name",),
    "path": ("name",),
}
_INSIDE = {
    "choices": ("choices",),
    "subset": ("subset", "least", "most"),
    "path": ("path", "repeats", "scales", "least", "most"),
}
_WORDS = ("weight", "density")
_PAIR = 2
_UNSAID = ("parameters", "choices", "subset", HOLE, MERGED)


class HoleReader:
    """Reads the holes of a document; what is wrong with them is gathered.

    `named` has the names that there are already, and whether a recipe gives them.
    """

    def __init__(self, document: Piece, stage: str | None, named: dict[str, bool]) -> None:
        self.document = document
        self.prefix = () if stage is None else (stage,)
        self.problems: list[Problem] = []
        self.holes: dict[int, Hole] = {}
        self.seen: set[Piece] = set()
        self.named = named
        self.look(document, None, None)

    def look(self, piece: Piece, key: Piece | None, holder: Piece | None) -> None:
        """Find the holes in a piece, those in what may be chosen for others among them."""
        if piece in self.seen:
            return
        self.seen.add(piece)
        self.problems += _doubled(piece)
        if piece.key_of(HOLE) is not None and (key is None or key.data not in NAMED):
            hole = self.read(piece, key, holder)
            if hole is not None:
                self.holes[piece.start] = hole
        for word, value in piece.pairs:
            self.look(value, word, piece)
        for value in piece.items:
            self.look(value, None, piece)

    def read(self, piece: Piece, key: Piece | None, holder: Piece | None) -> Hole | None:
        """The hole that a mapping with `search` is; None if something is wrong with it."""
        before = len(self.problems)
        given = piece.of(HOLE)
        assert given is not None, "it was looked for"
        kind = self.kind_of(given)
        if kind is None:
            return None
        self.problems += unknown(piece, (HOLE, *_OPTIONS[kind]))
        hole = Hole(piece, key, holder, kind, (), name=self.name_of(piece))
        reader = FormReader(self.document.data, piece, given, hole.name, hole)
        found = reader.read()
        self.problems += reader.problems
        if hole.is_merged and kind != "choice":
            self.wrong(piece, "'<<' takes a choice between mappings")
        return found if len(self.problems) == before else None

    def kind_of(self, given: Piece) -> str | None:
        """What sort of hole it is, by what is searched."""
        data = given.data
        if isinstance(data, list):
            is_range = len(data) == _PAIR and all(is_number(each) for each in data)
            return "range" if is_range else "choice"
        if isinstance(data, str) and data in _WORDS:
            return data
        if isinstance(data, dict):
            for word, words in _INSIDE.items():
                if word in data:
                    self.problems += unknown(given, words)
                    return {"choices": "choice"}.get(word, word)
            fact = f"search has none of {', '.join(_INSIDE)}"
            hint = "".join(nearest(str(each), _INSIDE, only_close=True) for each in data)
            self.wrong(given, fact + hint)
            return None
        remedy = "write [low, high], a list of choices, weight, density, or {subset: [...]}"
        self.wrong(given, f"nothing can be searched in {data!r}; {remedy}")
        return None

    def name_of(self, piece: Piece) -> str:
        """The name of its gene: the given one, or the place in words."""
        given = piece.of("name")
        if given is None:
            return self.placed(".".join((*self.prefix, *self.words(piece.path))) or "block")
        if not isinstance(given.data, str) or not given.data:
            self.wrong(given, "name is not a word")
        elif not self.named.setdefault(given.data, True):
            fact = f"'{given.data}' is what another hole is called by its place"
            self.wrong(given, f"{fact}; take another name")
        return str(given.data)

    def placed(self, words: str) -> str:
        """A name that says a place, and is that of no other."""
        name, count = words, 1
        while name in self.named:
            count += 1
            name = f"{words} #{count}"
        self.named[name] = False
        return name

    def words(self, path: Path) -> list[str]:
        """A path in words, and no more of them than are needed."""
        told: list[str] = []
        piece: Piece | None = self.document
        for step in path:
            if piece is not None:
                piece = piece.items[step] if isinstance(step, int) else piece.of(step)
            label = label_of(piece.data) if piece and isinstance(step, int) else ""
            if label and told[-1:] == ["models"]:
                told[-1] = label
            elif step not in _UNSAID:
                told.append(label or (str(step + 1) if isinstance(step, int) else step))
        return told

    def wrong(self, piece: Piece, fact: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(piece.place, fact))


def _doubled(piece: Piece) -> Iterator[Problem]:
    """The keys of a mapping that are given twice, of which one would be passed over."""
    known = {MERGED}
    for key, _ in piece.pairs:
        if key.data in known and key.data != MERGED:
            yield Problem(key.place, f"'{key.data}' is given twice")
        known.add(key.data)
