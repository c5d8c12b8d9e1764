"""Moments: all that the likeness of models needs to know of one tensor, gathered in one reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

from mergegraph.ops.arithmetic import cast
from mergegraph.ops.moments_loop import BLOCK, LANES, MOMENTS, ROWS, terms, total
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

_TOGETHER = 64 * 1024  # entries of all models that plain kernels look at together
_HALF = "bfloat16"


@dataclass(frozen=True)
class Moments:
    """Sums over the entries of a tensor: of the base's squares, and of the models' differences.

    `dots` are sums of products; `same` and `opposite` count entries where two differences have the
    same sign and opposite ones, and on its diagonal `same` has those that are not zero.
    """

    base: float
    sums: Any
    dots: Any
    same: Any
    opposite: Any


def moments_of(value: Any, count: int) -> Moments:
    """What `moments` gave for so many models, by its parts."""
    base, sums, *tables = value.split([1, count, *[count * count] * 3])
    return Moments(base.item(), sums, *(each.reshape(count, count) for each in tables))


def moments(base: Task, *models: Task) -> Task:
    """The moments of models' differences from a base, float64."""
    given = (base, *models)
    is_half = all(each.spec.dtype == _HALF for each in given)
    return _moments(*(each if is_half else cast(each, "float32") for each in given))


def _flat(_base: Spec, *models: Spec) -> Spec:
    return Spec((1 + len(models) + 3 * len(models) ** 2,), "float64")


def compile_for(count: int) -> None:
    """Compile the kernel for so many models now, so that it is there when it is needed."""
    from mergegraph.loops import compiled
    from mergegraph.ops.moments_loop import moments as loop

    compiled(loop, MOMENTS.format(count=count + 1))


def _fast_moments() -> Callable[..., Any]:
    """The compiled kernel; it is compiled for a number of models when that is met first."""
    import numba  # noqa: F401 - told now if it is not there

    from mergegraph.loops import compiled
    from mergegraph.ops.moments_loop import moments as loop

    lock = Lock()  # workers meet it at once, and one compiles for all

    def kernel(*tensors: Any) -> Any:
        import numpy as np
        import torch

        count = len(tensors) - 1
        with lock:
            run = compiled(loop, MOMENTS.format(count=count + 1))
        lanes, _ = _nothing(count)
        counts = np.zeros((count, 2 * count, LANES), np.int32)
        run(
            tuple(each.view(torch.uint16).numpy() for each in tensors),
            tensors[0].itemsize == 4,  # noqa: PLR2004 - of float32
            len(tensors[0]),
            np.empty(BLOCK, np.float32),
            np.empty(BLOCK, np.float32),
            np.zeros((count + 1) // 2 * 2 * BLOCK),
            np.empty((2 * count, BLOCK), np.uint8),
            lanes,
            counts,
        )
        return _put_together(lanes, counts.sum(axis=-1))

    return kernel


@op(cut="fold", copies=6, infer=_flat, fast=_fast_moments)
def _moments(*tensors: Any) -> Any:
    """Of the base and models, all of bfloat16 or all of float32."""
    count = len(tensors) - 1
    lanes, counts = _nothing(count)
    step = max(1, _TOGETHER // len(tensors) // BLOCK) * BLOCK
    for parts in zip(*(each.split(step) for each in tensors), strict=True):
        base, *models = (each.float() for each in parts)
        _add(base, [each - base for each in models], lanes, counts)
    return _put_together(lanes, counts)


def _nothing(count: int) -> tuple[Any, Any]:
    """Lanes and counts of so many models, all zero."""
    import numpy as np

    rows = len(list(terms(count)))
    return np.zeros((rows, LANES)), np.zeros((count, 2 * count), np.int64)


def _add(base: Any, differences: Any, lanes: Any, counts: Any) -> None:
    """Add what some whole blocks, or the last entries, come to."""
    import numpy as np

    wide, count = [_in_blocks(each) for each in differences], len(differences)
    for row, (i, j) in zip(lanes, terms(count), strict=True):
        if i < 0:
            _gather(row, np.square(_in_blocks(base)))
        elif j < 0 and i < count:
            _gather(row, wide[i])
        elif max(i, j) < count:
            products = wide[i] * wide[j]
            counts[i, j] += np.count_nonzero(products > 0)
            counts[i, count + j] += np.count_nonzero(products < 0)
            _gather(row, products)


def _in_blocks(entries: Any) -> Any:
    """Entries in float64, `[blocks, ROWS, LANES]`, zeros behind them."""
    import numpy as np

    blocks = np.zeros((-(-len(entries) // BLOCK), ROWS, LANES))
    blocks.reshape(-1)[: len(entries)] = entries.numpy()
    return blocks


def _gather(row: Any, blocks: Any) -> None:
    """Add blocks to the lanes of a row, in order."""
    import numpy as np

    sums = np.empty((1 + len(blocks), LANES))
    sums[0] = row
    np.add.reduce(blocks, axis=1, out=sums[1:])
    row[:] = np.add.accumulate(sums, axis=0, out=sums)[-1]


def _put_together(lanes: Any, counts: Any) -> Any:
    """The value of a strip: base, sums, products, counts."""
    import numpy as np
    import torch

    count = len(counts)
    value = np.zeros(1 + count + 3 * count * count)
    rows, places, mirrored = _places(count)
    value[places] = value[mirrored] = total(lanes)[rows]
    tables = value[1 + count :].reshape(3, count, count)
    for table, found in zip(tables[1:], (counts[:, :count], counts[:, count:]), strict=True):
        table[:] = np.triu(found) + np.triu(found, 1).T
    return torch.from_numpy(value)


@cache
def _places(count: int) -> tuple[Any, Any, Any]:
    """The rows of lanes that are of models there are, and where in a value they belong."""
    import numpy as np

    found = []
    for row, (i, j) in enumerate(terms(count)):
        if i < 0:
            found.append((row, 0, 0))
        elif max(i, j) < count:
            table = 1 + count
            pair = (table + i * count + j, table + j * count + i) if j >= 0 else (1 + i, 1 + i)
            found.append((row, *pair))
    rows, places, mirrored = np.array(found).T
    return rows, places, mirrored
