"""Pruning by chance: draws that depend on the seed and an entry's index alone."""

from __future__ import annotations

from typing import Any

from mergegraph.ops.arithmetic import scale_by
from mergegraph.ops.folds import absolute_sums
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

_MAGNITUDE = 0x7FFF_FFFF  # the bits of a float32 but for its sign
_INDEX_BITS = 32
_DRAWS_PER_BLOCK = 8  # Philox4x64 gives four words of 64 bits, a float32 draw takes 32


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


def uniform_draws(seed: int, start: int, count: int) -> Any:
    """`count` float32 numbers in [0, 1), from index `start` of the stream that `seed` keys."""
    import numpy as np
    import torch

    blocks, skipped = divmod(start, _DRAWS_PER_BLOCK)
    bits = np.random.Philox(key=seed)
    bits.advance(blocks)
    draws = np.random.Generator(bits).random(skipped + count, dtype=np.float32)
    return torch.from_numpy(draws[skipped:])


@op(cut="pointwise", copies=3)
def _drop_at_random(delta: Any, *, density: float, seed: int, rescale: bool, start: int) -> Any:
    import torch

    if density <= 0:
        return torch.zeros_like(delta)
    dropped = uniform_draws(seed, start, delta.numel()) >= density
    return (delta / density if rescale else delta.clone()).masked_fill_(dropped, 0.0)


@op(cut="rowwise", copies=11)
def _drop_by_rank(
    delta: Any, *, density: float, epsilon: float, seed: int, rescale: bool, start: int
) -> Any:
    import torch

    draws = uniform_draws(seed, start, delta.numel()).reshape(delta.shape)
    keep = keep_probabilities(delta, density=density, epsilon=epsilon)
    return torch.where(draws < keep, delta / keep if rescale else delta, 0.0)


def keep_probabilities(delta: Any, *, density: float, epsilon: float) -> Any:
    """The keep probability of each entry of `[rows, entries]`, by its rank in the row."""
    import numpy as np
    import torch

    entries = delta.shape[1]
    if entries <= 1:
        return torch.full_like(delta, density)
    # falling magnitude above the index in one number: an unstable sort of integers will do
    bits = delta.float().view(torch.int32).numpy() & _MAGNITUDE
    keys = (_MAGNITUDE - bits).astype(np.int64)
    keys <<= _INDEX_BITS
    keys |= np.arange(entries)
    keys.sort(axis=1)
    keys &= (1 << _INDEX_BITS) - 1
    steps = torch.arange(entries, dtype=torch.float64) * (2 * epsilon / (entries - 1))
    falling = (density + epsilon - steps).to(delta.dtype)
    return torch.empty_like(delta).scatter_(1, torch.from_numpy(keys), falling.expand_as(delta))


@op(infer=lambda _sums: Spec((1,), "float64"))
def _restoring_factor(sums: Any) -> Any:
    before, after = sums.tolist()
    return sums.new_tensor([before / after if after > 0 else 0.0])
