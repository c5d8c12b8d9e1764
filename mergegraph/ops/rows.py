"""Pruning within rows: by the rank that an entry has in its own row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mergegraph.bits import MAGNITUDE, magnitudes
from mergegraph.ops import device
from mergegraph.ops.order import prune_to_band
from mergegraph.tasks import Task, op

_INDEX_BITS = 32


def prune_rows_to_band(delta: Task, *, keep: int, top: int = 0) -> Task:
    """Keep `keep` entries of every row after its `top` largest ones, zero the rest."""
    entries = delta.spec.row
    if keep >= entries:
        return delta
    if entries == delta.spec.numel:
        return prune_to_band(delta, keep=keep, top=top)
    return _prune_rows(delta, keep=keep, top=top)


def _prune_rows_on_device(delta: Any, *, keep: int, top: int) -> Any:
    return _pruned_rows(delta, device.fall_by_rank, keep=keep, top=top)


@op(cut="rowwise", copies=7, device=_prune_rows_on_device, prunes=True)
def _prune_rows(delta: Any, *, keep: int, top: int) -> Any:
    return _pruned_rows(delta, fall_by_rank, keep=keep, top=top)


def _pruned_rows(delta: Any, by_rank: Callable[[Any, Any], Any], *, keep: int, top: int) -> Any:
    is_kept = delta.new_zeros(delta.shape[1])
    is_kept[top : top + keep] = 1
    return delta.where(by_rank(delta, is_kept) > 0, 0.0)


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
