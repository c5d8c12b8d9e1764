"""Parameter values of recipes: numbers, gradients over layers, rules by tensor name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor
from typing import Any

Scalar = float | int | bool | str | None


@dataclass(frozen=True)
class Rule:
    """A value, or a gradient of values, for the tensors whose name holds `filter`."""

    filter: str | None
    anchors: tuple[Scalar, ...]
    is_gradient: bool
    place: str

    def matches(self, name: str) -> bool:
        """Whether the rule speaks of a tensor."""
        return self.filter is None or self.filter in name

    def at(self, t: float) -> Scalar:
        """The value at position t in [0, 1] of the layers, interpolated between anchors."""
        return interpolate(self.anchors, t) if self.is_gradient else self.anchors[0]


def shown(value: Any) -> str:
    """A value as it is written in recipes."""
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, dict | list):
        return f"of {len(value)} parts" if value else "without anything in it"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


Rules = tuple[Rule, ...]
Parameters = Mapping[str, Rules]


def interpolate(anchors: tuple[Any, ...], t: float) -> Any:
    """The value at t of anchors spread evenly over [0, 1]; words are not interpolated."""
    place = t * (len(anchors) - 1)
    low = min(floor(place), len(anchors) - 1)
    high = min(low + 1, len(anchors) - 1)
    if not all(type(each) in (int, float) for each in anchors):
        return anchors[low]
    part = place - low
    return (1 - part) * anchors[low] + part * anchors[high]


@dataclass(frozen=True)
class Found:
    """The value a parameter has for one tensor, and the rule that said so."""

    value: Scalar
    rule: Rule


def find(levels: Iterable[Parameters], parameter: str, name: str, t: float) -> Found | None:
    """The first rule of the innermost level that speaks of the tensor; None if none does."""
    for level in levels:
        for rule in level.get(parameter, ()):
            if rule.matches(name):
                return Found(rule.at(t), rule)
    return None
