"""Which row each token of a result has, in each model's tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mergegraph.rowmap import ABSENT

ZERO: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Rule:
    """What a recipe says of a token's row: where it is taken from, and whether by all models.

    `row` is a model and an id, ZERO, or None for what is done without a rule.
    """

    row: tuple[tuple[str, int], ...] | None = None
    force: bool = False


@dataclass(frozen=True)
class Holder:
    """A model that takes part: its tokens' ids, and the rows of its tensor."""

    name: str
    ids: Mapping[str, int]
    rows: int

    def row(self, token: str) -> int:
        """The row of a token; ABSENT if the tensor has none for it."""
        found = self.ids.get(token, ABSENT)
        return found if found < self.rows else ABSENT


@dataclass(frozen=True)
class Choice:
    """How a model's tensor is put together, row by row.

    `own` has the model's row for each, or ABSENT. `others` has rows of models by their places,
    each with a share; `means` the places where the mean of all other rows stands.
    """

    own: tuple[int, ...]
    others: Mapping[tuple[str, float], Mapping[int, int]]
    means: tuple[int, ...]


@dataclass
class Chooser:
    """Chooses rows for tensors of one name; `tokens` has the token of every row, if there is one.

    The base's row stands for a token where others have none. Rows without a token are a model's
    own where it has such a row without a token, too, or else the first one's, or else means.
    """

    tokens: Sequence[str | None]
    holders: Sequence[Holder]
    rules: Mapping[str, Rule]
    base: str | None
    _standing: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    _named: dict[str, frozenset[int]] = field(default_factory=dict)

    def of(self, holder: Holder) -> Choice:
        """The choice for one model."""
        own = [ABSENT] * len(self.tokens)
        others: dict[tuple[str, float], dict[int, int]] = {}
        means = []
        for place, token in enumerate(self.tokens):
            if token is None:
                standing = self._unnamed(place, holder)
                means += [] if standing else [place]
            elif (row := holder.row(token)) != ABSENT and not self._is_forced(token):
                own[place] = row
                continue
            else:
                standing = self.standing(token)
            for name, row in standing:
                if name == holder.name and len(standing) == 1:
                    own[place] = row
                else:
                    others.setdefault((name, 1 / len(standing)), {})[place] = row
        return Choice(tuple(own), others, tuple(means))

    def _unnamed(self, place: int, holder: Holder) -> tuple[tuple[str, int], ...]:
        """The row that stands at a place without a token: the model's own, or else the first's."""
        for each in (holder, self.holders[0]):
            if place < each.rows and place not in self._by_id(each):
                return ((each.name, place),)
        return ()

    def _by_id(self, holder: Holder) -> frozenset[int]:
        if holder.name not in self._named:
            self._named[holder.name] = frozenset(holder.ids.values())
        return self._named[holder.name]

    def _is_forced(self, token: str) -> bool:
        return token in self.rules and self.rules[token].force

    def standing(self, token: str) -> tuple[tuple[str, int], ...]:
        """The rows whose mean stands for a token where a model has none."""
        if token not in self._standing:
            self._standing[token] = self._stood_for(token)
        return self._standing[token]

    def _stood_for(self, token: str) -> tuple[tuple[str, int], ...]:
        rule = self.rules.get(token)
        given = rule.row if rule is not None else None
        rows = {each.name: each.rows for each in self.holders}
        if given is not None and all(row < rows.get(name, 0) for name, row in given):
            return given
        having = [(each.name, each.row(token)) for each in self.holders]
        having = [(name, row) for name, row in having if row != ABSENT]
        of_base = [(name, row) for name, row in having if name == self.base]
        return tuple(of_base or having)
