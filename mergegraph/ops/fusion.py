"""Ops that join task vectors: elect a sign for every entry, fuse what is left with the base."""

from __future__ import annotations

from typing import Any, Literal

from mergegraph.tasks import op

Election = Literal["sum", "count", "max"]


@op(cut="pointwise", copies=3)
def elect(*deltas: Any, weights: tuple[float, ...], by: Election = "sum") -> Any:
    """The sign, +1 or −1, that each entry is to have (arXiv:2306.01708).

    `sum`: of the weighted sum; `count`: of the majority; `max`: of the weighted entry of largest
    magnitude. A draw is +1.
    """
    import torch

    ballots = [weight * each for weight, each in zip(weights, deltas, strict=True)]
    if by == "max":
        columns = torch.stack(ballots)
        mass = columns.gather(0, columns.abs().argmax(0, keepdim=True))[0]
    else:
        mass = sum(each.sign() if by == "count" else each for each in ballots)
    return mass.ge(0).to(mass.dtype).mul_(2).sub_(1)


@op(cut="pointwise", copies=2)
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
    arXiv:2306.01708); where they add up to nothing it is left alone.
    """
    import torch

    total = torch.zeros_like(base)
    mass = torch.zeros_like(base)
    for each, weight in zip(deltas, weights, strict=True):
        agreeing = (each * weight).mul_(signs).relu_()
        total.add_(agreeing)
        if normalize:
            mass.add_(agreeing.sign_(), alpha=weight)
    if normalize:
        total.div_(mass.masked_fill_(mass == 0, 1.0))
    return total.mul_(signs).mul_(scale).add_(base)
