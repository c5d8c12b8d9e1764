"""Ops that join task vectors: elect a sign for every entry, fuse what is left with the base."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import iadd
from typing import Any, Literal

from mergegraph.ops import compiled
from mergegraph.ops.arithmetic import weighted_sum
from mergegraph.tasks import op

Election = Literal["sum", "count", "max"]

_CANCELLED = 1e-6  # what is left of weights that cancel, as a share of them, in float32


def _fast_elect(inputs: int) -> Any:
    by_sum = compiled.elect(inputs)

    def kernel(*deltas: Any, weights: tuple[float, ...], by: Election) -> Any:
        if by == "sum":
            return by_sum(*deltas, weights=weights)
        return elect.kernel(*deltas, weights=weights, by=by)

    return kernel


@op(cut="pointwise", copies=5, fast=_fast_elect)
def elect(*deltas: Any, weights: tuple[float, ...], by: Election = "sum") -> Any:
    """The sign, +1 or −1, that each entry is to have (arXiv:2306.01708).

    `sum`: of the weighted sum; `count`: of the majority; `max`: of the weighted entry of largest
    magnitude, of the first model among equals. A draw is +1.
    """
    # products are rounded before they are added, so that opposite ones cancel
    ballots: Iterable[Any] = (each * weight for each, weight in zip(deltas, weights, strict=True))
    if by == "count":
        ballots = (each.sign_() for each in ballots)
    mass = reduce(_larger if by == "max" else iadd, ballots)
    return mass.sign_().add_(0.5).sign_()


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
    return weighted_sum(deltas, [weight * factor for weight in weights]).add_(base)


def _fast_fuse_elected(inputs: int) -> Any:
    with_positive_weights = compiled.fuse_elected(inputs)

    def kernel(*tensors: Any, weights: tuple[float, ...], **numbers: Any) -> Any:
        if min(weights) < 0:
            return fuse_elected.kernel(*tensors, weights=weights, **numbers)
        least = _least(weights)
        return with_positive_weights(*tensors, weights=weights, least=least, **numbers)

    return kernel


@op(cut="pointwise", copies=5, fast=_fast_fuse_elected)
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

    share = torch.empty_like(base)
    total = torch.zeros_like(base)
    mass = torch.zeros_like(base)
    for each, weight in zip(deltas, weights, strict=True):
        torch.mul(each, weight, out=share).mul_(signs).relu_()
        total.add_(share)
        if normalize:
            mass.add_(share.sign_(), alpha=weight)
    if normalize:
        total.div_(_divisor(mass, weights))
    return total.mul_(signs).mul_(scale).add_(base)


def _divisor(mass: Any, weights: tuple[float, ...]) -> Any:
    """The weights that agree, changed where they come to nothing: so does what is divided there."""
    if min(weights) >= 0:
        return mass.clamp_(min=_least(weights))
    nothing = _CANCELLED * sum(map(abs, weights))
    return mass.masked_fill_(mass.abs() <= nothing, 1.0)


def _least(weights: tuple[float, ...]) -> float:
    """The smallest of the weights that are not 0: fewer than that agree only where none does."""
    return min(filter(None, weights), default=1.0)


def _larger(first: Any, second: Any) -> Any:
    return second.where(second.abs() > first.abs(), first)
