"""Where tensors differ: their variance at each position, and the entries at chosen positions."""

from __future__ import annotations

from typing import Any

from mergegraph.instructions import Code, Do
from mergegraph.tasks import op


def _code_spread(code: Code, out: int, *deltas: int) -> None:
    first, *others = deltas
    one = code.number(1.0)
    with code.scratch(4) as (apart, square, total, squares):
        code.do(Do.CLEAR, total)
        code.do(Do.CLEAR, squares)
        for each in others:
            code.do(Do.SUBTRACT, apart, each, first)
            code.do(Do.MULTIPLY, square, apart, apart)
            code.do(Do.ADD_SCALED, total, apart, one)
            code.do(Do.ADD_SCALED, squares, square, one)
        code.do(Do.SCALE, apart, squares, code.number(len(deltas)))
        code.do(Do.MULTIPLY, square, total, total)
        code.do(Do.SUBTRACT, total, apart, square)
        code.do(Do.POSITIVE, out, total)


@op(cut="pointwise", copies=4, code=_code_spread)
def spread(*deltas: Any) -> Any:
    """N² times the variance over models at each position.

    Differences from the first model keep what is equal exactly zero, and the rest from cancelling.
    """
    import torch

    first, *others = deltas
    total, squares = torch.zeros_like(first), torch.zeros_like(first)
    for each in others:
        apart = each - first
        total.add_(apart)
        squares.add_(apart.square_())
    return squares.mul_(len(deltas)).sub_(total.square_()).relu_()


def _code_only_at(code: Code, out: int, delta: int, selected: int) -> None:
    with code.scratch(1) as (is_selected,):
        code.do(Do.IS_POSITIVE, is_selected, selected)
        code.do(Do.MULTIPLY, out, delta, is_selected)


@op(cut="pointwise", copies=2, code=_code_only_at, prunes=True)
def only_at(delta: Any, selected: Any) -> Any:
    """The entries at selected positions, those that are above zero; zeros elsewhere."""
    return delta * (selected > 0).to(delta.dtype)
