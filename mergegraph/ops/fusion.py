"""Ops that join task vectors: elect a sign for every entry, fuse what is left with the base."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import iadd
from typing import Any, Literal

from mergegraph.instructions import Code, Do
from mergegraph.ops.arithmetic import weighted_sum
from mergegraph.spec import Spec
from mergegraph.tasks import EVERY, op

Election = Literal["sum", "count", "max"]
Tie = Literal["positive", "zero"]

_CANCELLED = 1e-6  # what is left of weights that cancel, as a share of them, in float32


def _code_elect(
    code: Code, out: int, *deltas: int, weights: tuple[float, ...], by: Election, tie: Tie
) -> Any:
    if by != "sum" or tie != "positive":
        return NotImplemented
    with code.scratch(1) as (mass,):
        code.weighted_sum(mass, deltas, weights)
        return code.do(Do.SIGN, out, mass)


@op(cut="pointwise", copies=5, code=_code_elect)
def elect(
    *deltas: Any, weights: tuple[float, ...], by: Election = "sum", tie: Tie = "positive"
) -> Any:
    """The sign, +1 or −1, that each entry is to have (arXiv:2306.01708).

    `sum`: of the weighted sum; `count`: of the majority; `max`: of the weighted entry of largest
    magnitude, of the first model among equals. A draw is +1, or 0 if `tie` is `zero`.
    """
    # products are rounded before they are added, so that opposite ones cancel
    ballots: Iterable[Any] = (each * weight for each, weight in zip(deltas, weights, strict=True))
    if by == "count":
        ballots = (each.sign_() for each in ballots)
    signs = reduce(_larger if by == "max" else iadd, ballots).sign_()
    return signs if tie == "zero" else signs.add_(0.5).sign_()


@op(cut="fold", copies=2, infer=lambda _signs: Spec((1,), "float64"))
def sum_signs(signs: Any) -> Any:
    """The sum of all signs, `[1]` in float64: of a whole model, the sign of its majority."""
    return signs.double().sum().reshape(1)


@op(cut="pointwise", copies=2, infer=lambda signs, _majority: signs)
def settle(signs: Any, majority: Any) -> Any:
    """The signs, those that are 0 replaced by that of the majority."""
    return signs.where(signs != 0, majority.sign().item())


def _code_fuse(
    code: Code,
    out: int,
    base: int,
    *deltas: int,
    weights: tuple[float, ...],
    normalize: bool,
    scale: float,
) -> None:
    with code.scratch(1) as (total,):
        code.weighted_sum(total, deltas, _factors(weights, scale, normalize=normalize))
        code.do(Do.ADD, out, total, base)


@op(cut="pointwise", copies=2, code=_code_fuse, carries=EVERY)
def fuse(
    base: Any,
    *deltas: Any,
    weights: tuple[float, ...],
    normalize: bool = False,
    scale: float = 1.0,
) -> Any:
    """Base + scale · Σ wᵢ·δᵢ, the sum divided by Σ wᵢ if `normalize`."""
    return weighted_sum(deltas, _factors(weights, scale, normalize=normalize)).add_(base)


def _code_fuse_elected(
    code: Code,
    out: int,
    base: int,
    signs: int,
    *deltas: int,
    weights: tuple[float, ...],
    normalize: bool,
    scale: float,
) -> Any:
    if normalize and min(weights) < 0:
        return NotImplemented
    one = code.number(1.0)
    with code.scratch(5) as (total, mass, weighted, share, one_side):
        code.do(Do.CLEAR, total)
        code.do(Do.CLEAR, mass)
        for delta, weight in zip(deltas, weights, strict=True):
            code.do(Do.SCALE, weighted, delta, code.number(weight))
            code.do(Do.MULTIPLY, share, weighted, signs)
            code.do(Do.POSITIVE, one_side, share)
            code.do(Do.ADD_SCALED, total, one_side, one)
            if normalize:
                code.do(Do.IS_POSITIVE, share, one_side)
                code.do(Do.ADD_SCALED, mass, share, code.number(weight))
        if normalize:
            code.do(Do.RAISE, share, mass, code.number(_least(weights)))
            code.do(Do.DIVIDE, weighted, total, share)
        code.do(Do.MULTIPLY, share, weighted if normalize else total, signs)
        code.do(Do.SCALE, mass, share, code.number(scale))
        return code.do(Do.ADD, out, mass, base)


@op(cut="pointwise", copies=5, code=_code_fuse_elected, carries=1)
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


def _factors(weights: tuple[float, ...], scale: float, *, normalize: bool) -> list[float]:
    factor = scale / sum(weights) if normalize else scale
    return [weight * factor for weight in weights]


def _least(weights: tuple[float, ...]) -> float:
    """The smallest of the weights that are not 0: fewer than that agree only where none does."""
    return min(filter(None, weights), default=1.0)


def _larger(first: Any, second: Any) -> Any:
    return second.where(second.abs() > first.abs(), first)
