"""How large the blocks are that have a scale each, as the shapes of weights and scales tell."""

from __future__ import annotations

from collections.abc import Sequence

from mergegraph import MergeGraphError, Spec

Block = tuple[int | None, int | None]


def block_of(name: str, weight: Spec, scale: Spec, stated: Sequence[int] | None = None) -> Block:
    """Rows and columns of a block of a weight; None for all of them.

    The `stated` size is taken where it fits, as blocks at the edges may be smaller. Raises
    MergeGraphError if the scales are those of no blocks.
    """
    missing = len(weight.shape) - len(scale.shape)
    grid = (*scale.shape, *[1] * missing) if scale.numel > 1 else (1,) * len(weight.shape)
    sizes = [
        _size(entries, count, wanted)
        for entries, count, wanted in zip(
            (1, *weight.shape)[-2:], (1, *grid)[-2:], stated or (0, 0), strict=True
        )
    ]
    if missing < 0 or 0 in sizes or (scale.numel > 1 and grid[:-2] != weight.shape[:-2]):
        raise MergeGraphError(f"{name}: scales {scale} do not divide weights {weight} into blocks")
    rows, columns = sizes
    return rows, columns


def _size(entries: int, count: int, stated: int) -> int | None:
    """The size of a block along an axis; 0 if there is none."""
    if count == 1:
        return None
    if stated and -(-entries // stated) == count:
        return stated
    return entries // count if count and entries % count == 0 else 0
