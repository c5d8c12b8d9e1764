"""Pruning by order of magnitude: exact counts from a threshold, without sorting.

Entries are ranked by falling magnitude, equal ones by index, the lower first. The first `count` of
them are those above a threshold T, and of those equal to T the ones before an index: two integers,
found either by partition of the whole tensor or by folds over its strips. Magnitudes are compared
by the bits of float32, which order as they do.
"""

from __future__ import annotations

from math import floor
from typing import Any

from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

_LOW_BITS = 16
_ABOVE_ALL = 0x7FFF_FFFF  # no magnitude is greater: nothing is kept
_BELOW_ALL = -1  # every magnitude is greater: all is kept
_INFINITY = 0x7F80_0000  # the bits of infinity; those of NaN are greater
_BLOCK = 64 * 1024  # entries looked at together when one is to be found


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
    return prune_to_band(delta, keep=kept_count(density, delta.spec.numel))


def prune_to_band(delta: Task, *, keep: int, top: int = 0) -> Task:
    """Keep `keep` entries after the `top` largest ones, zero the rest (arXiv:2312.06795)."""
    if keep >= delta.spec.numel:
        return delta
    counts = (top + keep, top) if top else (keep,)
    return _prune(delta, _magnitude_bounds(delta, counts=counts))


def _streamed_bounds(delta: Task, *, counts: tuple[int, ...]) -> Task:
    """The same bounds for a tensor of any size: high bits, low bits, then the place of the tie."""
    bucket = _pick_bucket(_high_histogram(delta), counts=counts)
    threshold = _pick_threshold(_low_histogram(delta, bucket), bucket)
    places = [_tie_place(delta, threshold, which=which) for which in range(len(counts))]
    return _gather_bounds(threshold, *places)


@op(
    copies=3,
    small=True,
    infer=lambda _delta, *, counts: Spec((len(counts), 2), "int64"),
    streamed=_streamed_bounds,
)
def _magnitude_bounds(delta: Any, *, counts: tuple[int, ...]) -> Any:
    """For each count, the threshold and the index that end its entries: `[counts, 2]` int64."""
    import torch

    magnitudes = _magnitudes(delta.reshape(-1)).numpy()
    return torch.tensor([_bound(magnitudes, count) for count in counts], dtype=torch.int64)


@op(cut="pointwise", copies=3, infer=lambda delta, _magnitude_bounds: delta)
def _prune(delta: Any, bounds: Any, *, start: int) -> Any:
    """The entries among the first of `bounds[0]` and not among those of `bounds[1]`, if given."""
    kept, *larger = (_head(delta, bound, start) for bound in bounds.tolist())
    for each in larger:
        kept.sub_(each)
    return kept


@op(cut="fold", copies=2, infer=lambda _delta: Spec((1 << (31 - _LOW_BITS),), "int64"))
def _high_histogram(delta: Any) -> Any:
    high = _magnitudes(delta).bitwise_right_shift_(_LOW_BITS)
    return high.bincount(minlength=1 << (31 - _LOW_BITS))


@op(infer=lambda _histogram, *, counts: Spec((len(counts), 2), "int64"))
def _pick_bucket(histogram: Any, *, counts: tuple[int, ...]) -> Any:
    """For each count, the bucket of its last entry and how many of that bucket are wanted."""
    import torch

    total = int(histogram.sum())
    return torch.tensor([_last_bucket(histogram, count, total) for count in counts])


@op(
    cut="fold",
    copies=5,
    infer=lambda _delta, bucket: Spec((bucket.shape[0], 1 << _LOW_BITS), "int64"),
)
def _low_histogram(delta: Any, bucket: Any) -> Any:
    import numpy as np
    import torch

    magnitudes = _magnitudes(delta).numpy()
    rows = [
        np.bincount(
            magnitudes[magnitudes >> _LOW_BITS == chosen] & ((1 << _LOW_BITS) - 1),
            minlength=1 << _LOW_BITS,
        )
        for chosen in bucket[:, 0].tolist()
    ]
    return torch.from_numpy(np.stack(rows))


@op(infer=lambda _histogram, bucket: bucket)
def _pick_threshold(histogram: Any, bucket: Any) -> Any:
    """For each count, its threshold and how many entries equal to it are wanted."""
    import torch

    picked = []
    for low, (high, wanted) in zip(histogram, bucket.tolist(), strict=True):
        if wanted <= 0:
            picked.append([high, 0])
            continue
        digit, quota = _last_bucket(low, wanted, int(low.sum()) + 1)
        picked.append([(high << _LOW_BITS) | digit, quota])
    return torch.tensor(picked)


def _later(first: Any, second: Any) -> Any:
    """Join two neighbours: the place is in the first, or in the second, or still to come."""
    import numpy as np
    import torch

    quota, seen, place, _ = first[:4].tolist()
    _, count, _, start = second[:4].tolist()
    if place < 0 and quota - seen <= count:
        ties = np.unpackbits(second[4:].numpy().view(np.uint8))
        place = start + _end_of(ties, quota - seen)
    return torch.tensor([quota, seen + count, place, start])


@op(
    cut="fold",
    copies=2,
    combine=_later,
    finish=lambda told: told[2:3],
    infer=lambda *_inputs, which: Spec((1,), "int64"),  # noqa: ARG005
)
def _tie_place(delta: Any, threshold: Any, *, which: int, start: int) -> Any:
    """The index after the last of the wanted entries that are equal to the threshold.

    A strip tells the quota, how many it has, the index, and its start; then bits, which say what
    entries they are, for `_later` to count.
    """
    import numpy as np
    import torch

    value, quota = threshold[which].tolist()
    ties = (_magnitudes(delta) == value).numpy()
    count = np.count_nonzero(ties)
    place = 0 if quota == 0 else start + _end_of(ties, quota) if quota <= count else -1
    bits = np.packbits(np.pad(ties, (0, -len(ties) % 64)))
    told = torch.tensor([quota, count, place, start])
    return torch.cat([told, torch.from_numpy(bits.view(np.int64))])


@op(infer=lambda threshold, *_places: threshold)
def _gather_bounds(threshold: Any, *places: Any) -> Any:
    import torch

    return torch.stack([threshold[:, 0], torch.cat(places)], 1)


def _magnitudes(delta: Any) -> Any:
    """The bits of |x|: int32 numbers in the order of the magnitudes, NaN above all."""
    import torch

    return delta.float().view(torch.int32) & _ABOVE_ALL


def _head(delta: Any, bound: list[int], start: int) -> Any:
    """The entries that stand before a bound, zeros in place of the others."""
    import torch

    threshold, index = bound
    ties = min(max(index - start, 0), len(delta))
    if threshold >= _INFINITY:
        magnitudes = _magnitudes(delta)
        before = magnitudes > threshold
        before[:ties] = magnitudes[:ties] >= threshold
        return delta.where(before, 0.0)
    # zeroing |x| ≤ λ takes a twentieth of the time that masks take
    head = torch.hardshrink(delta, lambd=_number(threshold))
    if ties:
        head[:ties] = torch.hardshrink(delta[:ties], lambd=_number(threshold - 1))
    return head


def _number(bits: int) -> float:
    """The float32 of these bits, or 0 for what is below all."""
    import torch

    return torch.tensor(max(bits, 0), dtype=torch.int32).view(torch.float32).item()


def _bound(magnitudes: Any, count: int) -> tuple[int, int]:
    import numpy as np

    if count <= 0:
        return _ABOVE_ALL, 0
    if count >= len(magnitudes):
        return _BELOW_ALL, 0
    place = len(magnitudes) - count
    threshold = np.partition(magnitudes, place)[place]
    quota = count - int(np.count_nonzero(magnitudes > threshold))
    return int(threshold), _end_of(magnitudes == threshold, quota)


def _end_of(marks: Any, count: int) -> int:
    """The index after the mark that completes a count."""
    import numpy as np

    for start in range(0, len(marks), _BLOCK):
        block = marks[start : start + _BLOCK]
        found = int(np.count_nonzero(block))
        if count <= found:
            return start + int(np.flatnonzero(block)[count - 1]) + 1
        count -= found
    raise AssertionError("the count is met")


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
