"""Ops on packed tensors: read in another order, and words taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mergegraph.files.views import view_of
from mergegraph.ops.arithmetic import load
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

_BYTE = 8


def strided(
    tensor: Task, sizes: Sequence[int], strides: Sequence[int], *, shape: Sequence[int]
) -> Task:
    """A stored tensor in another order, or its entries several times: at stride 0.

    Sizes and strides are those of torch's `as_strided`, and the result is flattened to `shape`. It
    is only read so: `tensor` must be one of a checkpoint, not one that is computed.
    """
    if tensor.op is not load:
        raise TypeError(f"{tensor!r} is computed; only what is stored can be read in another order")
    entry = view_of(tensor.numbers["entry"], tuple(sizes), tuple(strides), tuple(shape))
    return load(entry=entry)


def _codes(words: Spec, **_numbers: Any) -> Spec:
    return words.with_dtype("uint8")


@op(cut="pointwise", copies=8, infer=_codes)
def _unpack(words: Any, *, bits: int, inner: int, order: tuple[int, ...], start: int) -> Any:
    import torch

    count = words.numel()
    first = start // inner
    last = -(-(start + count) // inner) if count else first
    groups = torch.arange(first, last, device=words.device)
    places = torch.tensor(order, dtype=torch.int32, device=words.device) * bits
    shifts = places[groups % len(order)]
    if inner > 1:
        offset = start - first * inner
        shifts = shifts.repeat_interleave(inner)[offset : offset + count]
    codes = (words.reshape(-1).int() >> shifts) & ((1 << bits) - 1)
    return codes.to(torch.uint8).reshape(words.shape)


def unpack(words: Task, *, bits: int, inner: int = 1, order: Sequence[int] | None = None) -> Task:
    """The numbers of `bits` bits in the words of a packed tensor, every word being there for each.

    Entry k is the number of the place `order[k // inner % n]` in its word of n numbers, counted
    from the lowest bits; without an order they stand in turn.
    """
    per_word = words.spec.itemsize * _BYTE // bits
    return _unpack(words, bits=bits, inner=inner, order=tuple(order or range(per_word)))
