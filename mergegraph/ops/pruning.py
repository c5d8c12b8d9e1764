"""Pruning by chance: at random, or by rank with small entries going first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from mergegraph.instructions import Code, Do
from mergegraph.ops import device
from mergegraph.ops.arithmetic import scale_by
from mergegraph.ops.chance import chosen, first_digits, further_digits
from mergegraph.ops.folds import absolute_sums
from mergegraph.ops.graded import (
    chances_by_rank,
    chances_by_size,
    chances_by_size_in_row,
    extremes,
    falling_chances,
)
from mergegraph.ops.order import warn_of_nothing
from mergegraph.ops.rows import fall_by_rank
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

Group = Literal["row", "tensor"]


def prune_at_random(delta: Task, *, density: float, seed: int, rescale: bool = True) -> Task:
    """Keep each entry with probability `density`, divided by it if `rescale` (arXiv:2311.03099)."""
    warn_of_nothing(density)
    return (
        delta
        if density >= 1
        else _drop_at_random(delta, density=density, seed=seed, rescale=rescale)
    )


def prune_by_rank(
    delta: Task,
    *,
    density: float,
    epsilon: float,
    seed: int,
    rescale: bool = True,
    is_open: bool = False,
    group: Group = "row",
) -> Task:
    """Keep large entries of a row more often than small ones (MagPrune, arXiv:2406.11617).

    The keep probability falls evenly from density + epsilon for the largest entry of a row, or of
    the tensor as `group` says, to density − epsilon for the smallest, or to one step above that if
    the window `is_open`, as the paper prints it. A survivor is divided by its own if `rescale`.
    """
    if density >= 1:
        return delta
    if density <= 0 or epsilon == 0:
        return prune_at_random(delta, density=density, seed=seed, rescale=rescale)
    window = {"density": density, "epsilon": epsilon, "is_open": is_open}
    if group == "row" or delta.spec.row == delta.spec.numel:
        return _drop_by_rank(delta, seed=seed, rescale=rescale, **window)
    return _drop_by_chance(delta, chances_by_rank(delta, **window), seed=seed, rescale=rescale)


def prune_by_size(
    delta: Task,
    *,
    density: float,
    epsilon: float,
    seed: int,
    rescale: bool = True,
    group: Group = "row",
) -> Task:
    """Keep large entries more often than small ones, by magnitude in place of rank.

    The keep probability goes in proportion to |x|, from density − epsilon for the smallest of a
    row, or of the tensor, to density + epsilon for the largest; it is the density where all are
    equal.
    """
    if density >= 1:
        return delta
    if density <= 0 or epsilon == 0:
        return prune_at_random(delta, density=density, seed=seed, rescale=rescale)
    window = {"density": density, "epsilon": epsilon}
    if group == "row":
        chances = chances_by_size_in_row(delta, **window)
    else:
        chances = chances_by_size(delta, extremes(delta), **window)
    return _drop_by_chance(delta, chances, seed=seed, rescale=rescale)


def rescale_to(pruned: Task, delta: Task) -> Task:
    """The pruned task vector scaled so that Σ|x| is what it was before pruning."""
    return scale_by(pruned, _restoring_factor(absolute_sums(delta, pruned)))


def _code_drop_at_random(
    code: Code, out: int, delta: int, *, density: float, seed: int, rescale: bool
) -> Any:
    if density <= 0:
        return NotImplemented
    side = code.side(lambda start, count: chosen(density, seed=seed, start=start, count=count))
    if not rescale:
        return code.do(Do.CHOOSE, out, delta, side)
    with code.scratch(1) as (enlarged,):
        code.do(Do.DIVIDE_BY, enlarged, delta, code.number(density))
        return code.do(Do.CHOOSE, out, enlarged, side)


@op(cut="pointwise", copies=4, code=_code_drop_at_random, prunes=True)
def _drop_at_random(delta: Any, *, density: float, seed: int, rescale: bool, start: int) -> Any:
    import torch

    if density <= 0:
        return torch.zeros_like(delta)
    kept = chosen(density, seed=seed, start=start, count=delta.numel())
    return only(kept, delta / density if rescale else delta)


def _fast_drop_by_rank() -> Any:
    from mergegraph import loops

    drop = loops.compiled(loops.drop_by_rank, loops.DROP_BY_RANK)

    def kernel(
        delta: Any,
        *,
        density: float,
        epsilon: float,
        is_open: bool,
        seed: int,
        rescale: bool,
        start: int,
    ) -> Any:
        import numpy as np
        import torch

        values, result = delta.reshape(-1), torch.empty_like(delta)
        kept = result.reshape(-1).numpy()
        unsettled, rests = np.empty(len(values), np.int64), np.empty(len(values), np.float32)
        falling = falling_chances(delta.shape[1], density, epsilon, is_open=is_open).float()
        digits = first_digits(seed, start, len(values))
        bits = values.view(torch.int32).numpy()
        given = (bits, values.numpy(), falling.numpy(), digits, rescale, kept, unsettled, rests)
        count = drop(*given)
        for place, rest in zip(unsettled[:count].tolist(), rests[:count], strict=True):
            if further_digits(seed, start + place) >= rest:
                kept[place] = 0
        return result

    return kernel


def _drop_by_rank_on_device(delta: Any, *, start: int, **numbers: Any) -> Any:
    return _dropped_by_rank(delta, device.fall_by_rank, start=start, **numbers)


@op(
    cut="rowwise",
    copies=11,
    fast=_fast_drop_by_rank,
    device=_drop_by_rank_on_device,
    prunes=True,
)
def _drop_by_rank(
    delta: Any,
    *,
    density: float,
    epsilon: float,
    is_open: bool,
    seed: int,
    rescale: bool,
    start: int,
) -> Any:
    return _dropped_by_rank(
        delta,
        fall_by_rank,
        density=density,
        epsilon=epsilon,
        is_open=is_open,
        seed=seed,
        rescale=rescale,
        start=start,
    )


def _dropped_by_rank(
    delta: Any,
    by_rank: Callable[[Any, Any], Any],
    *,
    density: float,
    epsilon: float,
    is_open: bool,
    seed: int,
    rescale: bool,
    start: int,
) -> Any:
    falling = falling_chances(delta.shape[1], density, epsilon, is_open=is_open).to(delta.dtype)
    return _dropped(delta, by_rank(delta, falling), seed=seed, rescale=rescale, start=start)


@op(cut="pointwise", copies=7, prunes=True)
def _drop_by_chance(delta: Any, keep: Any, *, seed: int, rescale: bool, start: int) -> Any:
    """Each entry kept with a probability of its own."""
    return _dropped(delta, keep, seed=seed, rescale=rescale, start=start)


def _dropped(delta: Any, keep: Any, *, seed: int, rescale: bool, start: int) -> Any:
    kept = chosen(keep.cpu().numpy().reshape(-1), seed=seed, start=start, count=delta.numel())
    return only(kept, delta / keep if rescale else delta)


def only(kept: Any, tensor: Any) -> Any:
    """The entries that are kept, an array of bools; 0 in place of the others."""
    import numpy as np
    import torch

    # all bits or none of them: to branch at every entry takes twenty times as long
    mask = torch.from_numpy(np.negative(kept.view(np.int8))).to(tensor.device)
    return (tensor.view(torch.int32) & mask.reshape(tensor.shape)).view(tensor.dtype)


@op(infer=lambda _sums: Spec((1,), "float64"))
def _restoring_factor(sums: Any) -> Any:
    before, after = sums.tolist()
    return sums.new_tensor([before / after if after > 0 else 0.0])
