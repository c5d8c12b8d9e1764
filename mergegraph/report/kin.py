"""Kin: kinship as it is drawn, of some tensors or of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan

from mergegraph.kinship import Kinship, TensorSums


def over(family: Kinship, tensors: Sequence[TensorSums]) -> Kinship:
    """The kinship over some tensors, taken as one."""
    return replace(family, tensors=tuple(tensors))


def drawn(family: Kinship, metric: str = "pcc") -> list[list[float]]:
    """The kinship of every pair; what is not defined is no number."""
    return [[nan if each is None else each for each in row] for row in family.matrix(metric)]
