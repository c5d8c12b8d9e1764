"""How large the blocks are that have a scale each, as the shapes of scales bear out."""

from __future__ import annotations

from collections.abc import Iterable

from mergegraph import MergeGraphError, Spec

Block = tuple[int | None, int | None]
WHOLE: Block = (None, None)
ROWS: Block = (1, None)


def block_of(name: str, weight: Spec, scale: Spec, sizes: Iterable[Block], hint: str = "") -> Block:
    """Rows and columns of a block of a weight; None for all of them.

    It is the first of `sizes` that has as many blocks as there are scales; those at the edges may
    be smaller. Raises MergeGraphError, which ends in the hint, if there is none.
    """
    sizes = tuple(sizes)
    missing = len(weight.shape) - len(scale.shape)
    grid = (*scale.shape, *[1] * missing) if scale.numel > 1 else (1,) * len(weight.shape)
    leads_agree = scale.numel == 1 or grid[:-2] == weight.shape[:-2]
    found = (each for each in sizes if _grid(weight, each) == (1, *grid)[-2:])
    if missing < 0 or not leads_agree or (block := next(found, None)) is None:
        raise MergeGraphError(
            f"{name}: scales {scale} do not divide weights {weight} into blocks{hint}"
        )
    return block


def _grid(weight: Spec, block: Block) -> tuple[int, ...]:
    """How many blocks there are along each side of a matrix."""
    sides = zip((1, *weight.shape)[-2:], block, strict=True)
    return tuple(1 if size is None else -(-entries // size) for entries, size in sides)
