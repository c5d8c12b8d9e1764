"""Ops that join task vectors: elect a sign for every entry, fuse what is left with the base."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import iadd
from typing import Any, Literal

from mergegraph.tasks import op

Election = Literal["sum", "count", "max"]

_CANCELLED = 1e-6  # what is left of weights that cancel, as a share of them, in float32


@op(cut="pointwise", copies=5)
def elect(*deltas: Any, weights: tuple[float, ...], by: Election = "sum") -> Any:
    """The sign, +1 or −1, that each entry is to have (arXiv:2306.01708).

    `sum`: of the weighted sum; `count`: of the majority; `max`: of the weighted entry of largest
    magnitude, of the first model among equals. A draw is +1.
    """
    ballots: Iterable[Any] = (each * weight for each, weight in zip(deltas, weights, strict=True))
    if by == "count":
        ballots = (each.sign_() for each in ballots)
    mass = reduce(_larger if by == "max" else iadd, ballots)
    return mass.ge(0).to(mass.dtype).mul_(2).sub_(1)


@op(cut="pointwise")
def fuse(
    base: Any,
    *deltas: Any,
    weights: tuple[float, ...],
    normalize: bool = False,
    scale: float = 1.0,
) -> Any:
    """Base + scale · Σ wᵢ·δᵢ, the sum divided by Σ wᵢ if `normalize`."""
    factor = scale / sum(weights) if normalize else scale
    total = deltas[0] * (weights[0] * factor)
    for each, weight in zip(deltas[1:], weights[1:], strict=True):
        total.add_(each, alpha=weight * factor)
    return total.add_(base)


@op(cut="pointwise", copies=5)
def fuse_elected(
    base: Any,
    signs: Any,
    *deltas: Any,
    weights: tuple[float, ...],
    normalize: bool = True,
    scale: float = 1.0,
) -> Any:
    """Base + scale · Σ wᵢ·δᵢ over the models whose weighted entry has the elected sign.

    The sum is divided by the weights of these models if `normalize` (the disjoint mean of
    arXiv:2306.01708); where they cancel it is left alone.
    """
    import torch

    nothing = _CANCELLED * sum(map(abs, weights)) if min(weights) < 0 else 0.0
    total = torch.zeros_like(base)
    mass = torch.zeros_like(base)
    for each, weight in zip(deltas, weights, strict=True):
        agreeing = (each * weight).mul_(signs).relu_()
        total.add_(agreeing)
        if normalize:
            mass.add_(agreeing.sign_(), alpha=weight)
    if normalize:
        total.div_(mass.masked_fill_(mass.abs() <= nothing, 1.0))
    return total.mul_(signs).mul_(scale).add_(base)


def _larger(first: Any, second: Any) -> Any:
    return second.where(second.abs() > first.abs(), first)
