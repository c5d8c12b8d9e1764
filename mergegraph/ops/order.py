"""Pruning by order of magnitude: exact counts from a threshold, without sorting.

Entries are ranked by falling magnitude, equal ones by index, the lower first. The first `count` of
them are those above a threshold T, and of those equal to T as many as a quota says, by index. T and
the quota come from two histograms, of the high bits and then of the low ones; how much of the quota
is left for a strip is told by a scan. Magnitudes are compared by the bits of float32, which order
as they do.
"""

from __future__ import annotations

from math import floor
from typing import Any
from warnings import warn

from mergegraph.bits import INFINITY, LOW_BITS, MAGNITUDE, magnitudes
from mergegraph.errors import MergeWarning
from mergegraph.instructions import Code, Do
from mergegraph.ops import device
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

_ABOVE_ALL = MAGNITUDE  # no magnitude is greater: nothing is kept
_BELOW_ALL = -1  # every magnitude is greater: all is kept
_BLOCK = 8 * 1024  # entries looked at together when one is to be found


def kept_count(density: float, numel: int) -> int:
    """How many of `numel` entries a density keeps: floor(density·numel), but one if any."""
    if density <= 0 or numel == 0:
        return 0
    return min(numel, max(1, floor(density * numel + 1e-9)))


def removed_count(fraction: float, numel: int) -> int:
    """How many of `numel` entries a fraction to remove takes: floor(fraction·numel)."""
    return floor(fraction * numel + 1e-9)


def prune_by_magnitude(delta: Task, *, density: float) -> Task:
    """Keep the `density` largest entries by magnitude, zero the rest (arXiv:2306.01708)."""
    warn_of_nothing(density)
    return prune_to_band(delta, keep=kept_count(density, delta.spec.numel))


def warn_of_nothing(density: float) -> None:
    """Warn of a density that keeps no entry at all."""
    if density <= 0:
        warn("a density of 0 keeps nothing of a model", MergeWarning, 2)


def prune_to_band(delta: Task, *, keep: int, top: int = 0) -> Task:
    """Keep `keep` entries after the `top` largest ones, zero the rest (arXiv:2312.06795)."""
    if keep >= delta.spec.numel:
        return delta
    counts = (top + keep, top) if top else (keep,)
    return _within(delta, pick_bucket(high_histogram(delta), counts=counts))


def prune_to_count(delta: Task, count: Task) -> Task:
    """Keep as many of the largest entries as a small task says, `[1]` in int64, zero the rest."""
    return _within(delta, _find_bucket(high_histogram(delta), count))


def _within(delta: Task, bucket: Task) -> Task:
    """The entries within bounds, by the buckets that these are in."""
    return prune_within(delta, pick_threshold(low_histogram(delta, bucket), bucket))


def prune_within(delta: Task, bounds: Task) -> Task:
    """Keep the entries within bounds, zero the rest.

    `bounds` is small, a row for the lower one, and one for the upper one if there is any: the bits
    of a magnitude, and how many entries equal to it are within.
    """
    return _prune(delta, bounds, count_ties(delta, bounds))


def _code_prune(code: Code, out: int, delta: int, thresholds: Any, seen: str) -> None:
    bounds = [
        code.bound(threshold, quota, seen, place)
        for place, (threshold, quota) in enumerate(thresholds.tolist())
    ]
    if len(bounds) == 1:
        code.do(Do.ABOVE, out, delta, bounds[0])
        return
    with code.scratch(2) as (kept, larger):
        for register, bound in zip((kept, larger), bounds, strict=True):
            code.do(Do.ABOVE, register, delta, bound)
        code.do(Do.EXCEPT, out, kept, larger)


def _code_count_ties(code: Code, out: int, delta: int, thresholds: Any) -> None:
    for place, (threshold, quota) in enumerate(thresholds.tolist()):
        if quota:
            code.do(Do.COUNT_TIES, out + place, delta, code.whole(threshold))


def _code_count_zeros(code: Code, out: int, delta: int) -> None:
    with code.scratch(3) as (above, less, below):
        code.do(Do.IS_POSITIVE, above, delta)
        code.do(Do.SCALE, less, delta, code.number(-1.0))
        code.do(Do.IS_POSITIVE, below, less)
        code.do(Do.ADD, less, above, below)
        code.do(Do.DIVIDE, above, less, less)  # no number where the entry is zero, else 1
        code.do(Do.COUNT_NONFINITE, out, above)


def _code_high_histogram(code: Code, out: int, delta: int) -> None:
    code.do(Do.COUNT_HIGH, out, delta)


def _code_low_histogram(code: Code, out: int, delta: int, bucket: Any) -> None:
    for row, chosen in enumerate(bucket[:, 0].tolist()):
        lowest = code.whole((chosen << LOW_BITS) & MAGNITUDE)
        code.do(Do.COUNT_LOW, out + (row << LOW_BITS), delta, lowest)


@op(
    cut="pointwise",
    copies=4,
    infer=lambda delta, *_bounds: delta,
    device=device.prune,
    code=_code_prune,
    prunes=True,
)
def _prune(delta: Any, thresholds: Any, seen: Any) -> Any:
    """The entries within the first bound and not within the second, if there is one.

    A bound is a threshold with its quota of ties, and how many ties there were before this strip.
    """
    import torch

    kept, *larger = (
        _head(delta, threshold, quota - before)
        for (threshold, quota), before in zip(thresholds.tolist(), seen.tolist(), strict=True)
    )
    for each in larger:  # by their bits: infinity minus infinity is not zero
        kept.view(torch.int32).bitwise_xor_(each.view(torch.int32))
    return kept


@op(
    cut="scan",
    copies=2,
    infer=lambda _delta, thresholds: Spec(thresholds.shape[:1], "int64"),
    code=_code_count_ties,
    device=device.count_ties,
)
def count_ties(delta: Any, thresholds: Any) -> Any:
    """How many entries are equal to each threshold that has a quota."""
    import numpy as np
    import torch

    found = magnitudes(delta).numpy()
    return torch.tensor(
        [
            np.count_nonzero(found == threshold) if quota else 0
            for threshold, quota in thresholds.tolist()
        ]
    )


@op(cut="fold", copies=1, infer=lambda _tensor: Spec((1,), "int64"), code=_code_count_zeros)
def count_zeros(tensor: Any) -> Any:
    """How many entries are zero, `[1]` in int64; those that are no number count as such."""
    others = (tensor > 0).count_nonzero() + (tensor < 0).count_nonzero()
    return (tensor.numel() - others).reshape(1)


@op(
    cut="fold",
    copies=2,
    infer=lambda _delta: Spec((1 << (31 - LOW_BITS),), "int64"),
    code=_code_high_histogram,
)
def high_histogram(delta: Any) -> Any:
    """How many magnitudes have each of the numbers that the high bits can be."""
    high = magnitudes(delta).bitwise_right_shift_(LOW_BITS)
    return high.bincount(minlength=1 << (31 - LOW_BITS))


@op(infer=lambda _histogram, *, counts: Spec((len(counts), 2), "int64"))
def pick_bucket(histogram: Any, *, counts: tuple[int, ...]) -> Any:
    """For each count, the bucket of its last entry and how many of that bucket are wanted."""
    import torch

    total = int(histogram.sum())
    return torch.tensor([_last_bucket(histogram, count, total) for count in counts])


@op(infer=lambda _histogram, counts: Spec((counts.shape[0], 2), "int64"))
def _find_bucket(histogram: Any, counts: Any) -> Any:
    """The same for counts that are known only now."""
    return pick_bucket.kernel(histogram, counts=counts.tolist())


@op(
    cut="fold",
    copies=6,
    infer=lambda _delta, bucket: Spec((bucket.shape[0], 1 << LOW_BITS), "int64"),
    code=_code_low_histogram,
    device=device.low_histogram,
)
def low_histogram(delta: Any, bucket: Any) -> Any:
    """For each bucket, how many of its magnitudes have each number that the low bits can be."""
    import numpy as np
    import torch

    found = magnitudes(delta).numpy()
    histogram = torch.empty(len(bucket), 1 << LOW_BITS, dtype=torch.int64)
    for row, chosen in zip(histogram, bucket[:, 0].tolist(), strict=True):
        # unsigned, what is below the bucket is far above it: one comparison finds its entries
        above = (found - np.int32((chosen << LOW_BITS) & MAGNITUDE)).view(np.uint32)
        low = above[above < 1 << LOW_BITS].view(np.int32)
        row.copy_(torch.from_numpy(low).bincount(minlength=1 << LOW_BITS))
    return histogram


@op(infer=lambda _histogram, bucket: bucket)
def pick_threshold(histogram: Any, bucket: Any) -> Any:
    """For each count, its threshold and how many entries equal to it are wanted."""
    import torch

    picked = []
    for low, (high, wanted) in zip(histogram, bucket.tolist(), strict=True):
        if wanted <= 0:
            picked.append([high, 0])
            continue
        digit, quota = _last_bucket(low, wanted, int(low.sum()) + 1)
        picked.append([(high << LOW_BITS) | digit, quota])
    return torch.tensor(picked)


def _head(delta: Any, threshold: int, quota: int) -> Any:
    """The entries above a threshold and the first ones equal to it; zeros in place of the rest."""
    import torch

    found: Any = None
    if quota > 0 or threshold >= INFINITY:
        found = magnitudes(delta).numpy()
    end = _end_of(found == threshold, quota) if quota > 0 else 0
    if threshold >= INFINITY:
        before = found > threshold
        before[:end] = found[:end] >= threshold
        return delta.where(torch.from_numpy(before), 0.0)
    del found
    # zeroing |x| ≤ λ takes a twentieth of the time that masks take
    if end == len(delta):
        return torch.hardshrink(delta, lambd=_number(threshold - 1))
    head = torch.hardshrink(delta, lambd=_number(threshold))
    head[:end] = torch.hardshrink(delta[:end], lambd=_number(threshold - 1))
    return head


def _end_of(marks: Any, count: int) -> int:
    """The index after the mark that completes a count; the end, if there are not so many."""
    import numpy as np

    if np.count_nonzero(marks) <= count:
        return len(marks)
    for start in range(0, len(marks), _BLOCK):
        block = marks[start : start + _BLOCK]
        found = int(np.count_nonzero(block))
        if count <= found:
            return start + int(np.flatnonzero(block)[count - 1]) + 1
        count -= found
    raise AssertionError("the count is met")


def _number(bits: int) -> float:
    """The float32 of these bits, or 0 for what is below all."""
    import torch

    return torch.tensor(max(bits, 0), dtype=torch.int32).view(torch.float32).item()


def _last_bucket(histogram: Any, count: int, total: int) -> list[int]:
    """The bucket, from the top, in which the count is reached, and how many of it are wanted."""
    import torch

    if count <= 0:
        return [_ABOVE_ALL, 0]
    if count >= total:
        return [_BELOW_ALL, 0]
    reached = histogram.flip(0).cumsum(0)
    place = int(torch.searchsorted(reached, count))
    before = int(reached[place - 1]) if place else 0
    return [len(histogram) - 1 - place, count - before]
