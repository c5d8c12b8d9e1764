"""Noise: normal numbers that the seed and an entry's index say, whichever strip it is in."""

from __future__ import annotations

from typing import Any

from mergegraph.tasks import op

_WORDS = 4  # of a step of the counter
_BITS = 2.0**-53


@op(cut="pointwise", copies=9)
def add_noise(tensor: Any, *, spread: float, seed: int, start: int) -> Any:
    """The tensor with a normal number of standard deviation `spread` added to every entry."""
    import torch

    drawn = normal(seed, start, tensor.numel())
    return torch.from_numpy(drawn).mul_(spread).to(tensor.dtype).add_(tensor)


def normal(seed: int, start: int, count: int) -> Any:
    """The normal numbers of `count` entries from index `start`: two words give two of them."""
    import numpy as np

    skipped = start % 2
    pairs = -(-(skipped + count) // 2)
    steps, behind = divmod((start - skipped), _WORDS)
    bits = np.random.Philox(key=seed)
    bits.advance(steps)
    words = bits.random_raw(behind + 2 * pairs)[behind:] >> np.uint64(11)
    evenly = words.astype(np.float64)
    del words
    evenly += 0.5
    evenly *= _BITS
    lengths = np.sqrt(-2 * np.log(evenly[0::2]))
    angles = evenly[1::2]
    angles *= 2 * np.pi
    found = np.empty(2 * pairs)
    found[0::2] = lengths * np.cos(angles)
    found[1::2] = lengths * np.sin(angles)
    return found[skipped : skipped + count]
