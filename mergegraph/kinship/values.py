"""Kinship: how alike the changes are that models have made to a common base."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import sqrt

from mergegraph.errors import MergeGraphError, nearest
from mergegraph.kinship.kinds import KINDS
from mergegraph.kinship.metrics import (
    AGGREGATES,
    METRICS,
    Likenesses,
    Sums,
    check_words,
    mean,
    total,
    weighted,
)

GLOBAL, PER_TENSOR = AGGREGATES


@dataclass(frozen=True)
class TensorSums:
    """The sums of one tensor; `layer` is its stack and number, as `model.layers.3`, if any."""

    name: str
    kind: str
    layer: str | None
    sums: Sums


@dataclass(frozen=True)
class Norms:
    """The length of the base, and of what each model has changed of it."""

    base: float
    changes: tuple[float, ...]

    @property
    def relative(self) -> tuple[float | None, ...]:
        """The changes as multiples of the base."""
        return tuple(each / self.base if self.base else None for each in self.changes)


@dataclass(frozen=True)
class Signs:
    """Of two models the share of entries that both have changed, into one direction or opposite."""

    same: float
    opposite: float

    @property
    def agreement(self) -> float | None:
        """Of the entries that both have changed, the share of those with the same sign."""
        both = self.same + self.opposite
        return self.same / both if both else None


@dataclass(frozen=True)
class Kinship:
    """Models measured against a base, tensor by tensor; everything else follows.

    `notes` says what was left out, and what is strange.
    """

    base: str
    names: tuple[str, ...]
    tensors: tuple[TensorSums, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def total(self) -> Sums:
        """The sums over all tensors."""
        return total([each.sums for each in self.tensors], len(self.names))

    @cached_property
    def layers(self) -> Mapping[str, Sums]:
        """The sums of each layer, in order; what is in no layer is in none of them."""
        return self._by(lambda each: each.layer)

    @cached_property
    def kinds(self) -> Mapping[str, Sums]:
        """The sums of each kind of tensor."""
        found = self._by(lambda each: each.kind)
        return {kind: found[kind] for kind in (*KINDS, *found) if kind in found}

    def _by(self, key: Callable[[TensorSums], str | None]) -> dict[str, Sums]:
        parts: dict[str, list[Sums]] = {}
        for each in self.tensors:
            if (found := key(each)) is not None:
                parts.setdefault(found, []).append(each.sums)
        return {found: total(sums, len(self.names)) for found, sums in parts.items()}

    def index(self, model: int | str) -> int:
        """The number of a model, by its name or its number."""
        if isinstance(model, str):
            if model not in self.names:
                raise MergeGraphError(f"no model '{model}'{nearest(model, self.names)}")
            return self.names.index(model)
        return range(len(self.names))[model]

    def pair(
        self, i: int | str, j: int | str, metric: str = "pcc", *, aggregate: str = GLOBAL
    ) -> float | None:
        """The kinship of two models; None where it is not defined."""
        check_words(metric, aggregate)
        likeness, a, b = METRICS[metric], self.index(i), self.index(j)
        if aggregate == GLOBAL:
            return likeness(self.total, a, b)
        return weighted([(each.sums.entries, likeness(each.sums, a, b)) for each in self.tensors])

    def matrix(self, metric: str = "pcc", *, aggregate: str = GLOBAL) -> Likenesses:
        """The kinship of every pair."""
        count = range(len(self.names))
        return tuple(
            tuple(self.pair(i, j, metric, aggregate=aggregate) for j in count) for i in count
        )

    def group(
        self,
        metric: str = "pcc",
        *,
        aggregate: str = GLOBAL,
        among: Sequence[int | str] | None = None,
    ) -> float | None:
        """The mean kinship of all pairs, or of those among some models; undefined ones left out.

        Where a search is to stop once its best models are too much alike, this is what it asks.
        """
        chosen = range(len(self.names)) if among is None else among
        pairs = combinations(chosen, 2)
        return mean([self.pair(i, j, metric, aggregate=aggregate) for i, j in pairs])

    def by_layer(self, metric: str = "pcc") -> dict[str, Likenesses]:
        """The kinship of every pair, in each layer."""
        return self._each(self.layers, metric)

    def by_kind(self, metric: str = "pcc") -> dict[str, Likenesses]:
        """The kinship of every pair, in each kind of tensor."""
        return self._each(self.kinds, metric)

    def by_tensor(self, metric: str = "pcc") -> dict[str, Likenesses]:
        """The kinship of every pair, in each tensor."""
        return self._each({each.name: each.sums for each in self.tensors}, metric)

    def _each(self, parts: Mapping[str, Sums], metric: str) -> dict[str, Likenesses]:
        check_words(metric)
        return {name: likenesses(sums, metric) for name, sums in parts.items()}

    def signs(self, i: int | str, j: int | str) -> Signs:
        """How often two models change an entry into one direction, and into opposite ones."""
        return signs(self.total, self.index(i), self.index(j))

    @property
    def norms(self) -> Norms:
        """How far the models are from the base."""
        return norms(self.total)


def likenesses(sums: Sums, metric: str) -> Likenesses:
    """The kinship of every pair, over some entries."""
    count, likeness = range(len(sums.sums)), METRICS[metric]
    return tuple(tuple(likeness(sums, i, j) for j in count) for i in count)


def norms(sums: Sums) -> Norms:
    """The lengths of base and changes, over some entries."""
    return Norms(sqrt(sums.base), tuple(sqrt(row[i]) for i, row in enumerate(sums.dots)))


def signs(sums: Sums, i: int, j: int) -> Signs:
    """How two models agree on signs, over some entries."""
    entries = max(1, sums.entries)
    return Signs(sums.same[i][j] / entries, sums.opposite[i][j] / entries)
