"""Pruning by chance: at random, or by rank with small entries going first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mergegraph.bits import MAGNITUDE, magnitudes
from mergegraph.instructions import Code, Do
from mergegraph.ops import device
from mergegraph.ops.arithmetic import scale_by
from mergegraph.ops.chance import chosen, first_digits, further_digits
from mergegraph.ops.folds import absolute_sums
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

_INDEX_BITS = 32


def prune_at_random(delta: Task, *, density: float, seed: int, rescale: bool = True) -> Task:
    """Keep each entry with probability `density`, divided by it if `rescale` (arXiv:2311.03099)."""
    return (
        delta
        if density >= 1
        else _drop_at_random(delta, density=density, seed=seed, rescale=rescale)
    )


def prune_by_rank(
    delta: Task, *, density: float, epsilon: float, seed: int, rescale: bool = True
) -> Task:
    """Keep large entries of a row more often than small ones (MagPrune, arXiv:2406.11617).

    The keep probability falls evenly from density + epsilon for the largest entry of a row to
    density − epsilon for the smallest; a survivor is divided by its own if `rescale`.
    """
    if density >= 1:
        return delta
    if density <= 0 or epsilon == 0:
        return prune_at_random(delta, density=density, seed=seed, rescale=rescale)
    return _drop_by_rank(delta, density=density, epsilon=epsilon, seed=seed, rescale=rescale)


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


@op(cut="pointwise", copies=4, code=_code_drop_at_random)
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
        delta: Any, *, density: float, epsilon: float, seed: int, rescale: bool, start: int
    ) -> Any:
        import numpy as np
        import torch

        values, result = delta.reshape(-1), torch.empty_like(delta)
        kept = result.reshape(-1).numpy()
        unsettled, rests = np.empty(len(values), np.int64), np.empty(len(values), np.float32)
        falling = falling_chances(delta.shape[1], density, epsilon).float()
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


@op(cut="rowwise", copies=11, fast=_fast_drop_by_rank, device=_drop_by_rank_on_device)
def _drop_by_rank(
    delta: Any, *, density: float, epsilon: float, seed: int, rescale: bool, start: int
) -> Any:
    return _dropped_by_rank(
        delta,
        fall_by_rank,
        density=density,
        epsilon=epsilon,
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
    seed: int,
    rescale: bool,
    start: int,
) -> Any:
    keep = by_rank(delta, falling_chances(delta.shape[1], density, epsilon).to(delta.dtype))
    kept = chosen(keep.cpu().numpy().reshape(-1), seed=seed, start=start, count=delta.numel())
    return only(kept, delta / keep if rescale else delta)


def falling_chances(entries: int, density: float, epsilon: float) -> Any:
    """The keep probability of each rank in a row, evenly from density + ε down to density − ε."""
    import torch

    if entries <= 1:
        return torch.full((entries,), density, dtype=torch.float64)
    steps = torch.arange(entries, dtype=torch.float64) * (2 * epsilon / (entries - 1))
    return density + epsilon - steps


def fall_by_rank(delta: Any, falling: Any) -> Any:
    """For each entry of `[rows, entries]` the number of `falling` that its rank has."""
    import numpy as np
    import torch

    # falling magnitude above the index in one number: an unstable sort of integers will do
    keys = (MAGNITUDE - magnitudes(delta).numpy()).astype(np.int64)
    keys <<= _INDEX_BITS
    keys |= np.arange(delta.shape[1])
    keys.sort(axis=1)
    keys &= (1 << _INDEX_BITS) - 1
    return torch.empty_like(delta).scatter_(1, torch.from_numpy(keys), falling.expand_as(delta))


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
