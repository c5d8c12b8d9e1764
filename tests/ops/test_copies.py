"""What kernels allocate, measured against what they declare: the memory bound stands on it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mergegraph_methods import model_stock
from torch.profiler import ProfilerActivity, profile

from mergegraph.ops import arithmetic, folds, fusion, order, pruning
from mergegraph.strips import STRIP
from mergegraph.tasks import Op

SLACK = 64 * 1024  # bytes: small results, what the interpreter needs
EVERY = range(5)


def allocated(call: Callable[[], Any]) -> int:
    """The most that a call has allocated at a time, by torch and by numpy."""
    call()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        call()
    events = [
        each for each in measured.profiler.kineto_results.events() if each.name() == "[memory]"
    ]
    now = most = 0
    for event in sorted(events, key=lambda each: each.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    tracemalloc.start()
    call()
    most += tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def strip(seed: int) -> torch.Tensor:
    return torch.randn(STRIP, generator=torch.Generator().manual_seed(seed))


def kernels() -> list[Any]:
    """Ops with inputs that cost them most, and how their strips are shaped."""
    x, zeros = strip(0), torch.zeros(STRIP)
    many = [strip(i) for i in range(6)]
    ones = (1.0,) * len(many)
    spoilt = torch.where(x > 0, x, float("nan"))
    half = torch.tensor([[STRIP // 2, STRIP // 2], [STRIP // 4, STRIP // 4]])
    one, infinity = 0x3F80_0000, 0x7F80_0000
    bounds = torch.tensor([[one, STRIP // 2], [one, STRIP // 4]])
    infinite = torch.tensor([[infinity, STRIP // 2], [infinity, STRIP // 4]])
    none_yet = torch.zeros(2, dtype=torch.int64)
    rows = [each.reshape(-1, 1024) for each in many]
    pairs = [each.reshape(-1, 2) for each in many]
    chance = {"density": 0.5, "seed": 1, "rescale": True, "start": 3}
    cases = [
        (arithmetic._cast, (x,), {"dtype": "bfloat16"}),
        (arithmetic.delta, (x, many[1]), {}),
        (arithmetic.scale, (x,), {"factor": 2.0}),
        (arithmetic.average, many, {"weights": ones}),
        (arithmetic.combine, (*many, torch.ones(6)), {}),
        (arithmetic.extend, (x[:100], x), {}),
        (arithmetic.fill_nonfinite, (spoilt, *many), {}),
        (folds.gram, many, {}),
        (folds.gram, many[:2], {}),
        (folds.absolute_sums, many, {}),
        (folds.count_nonfinite, (x,), {}),
        (folds.count_nonfinite, (spoilt.bfloat16(),), {}),
        (folds.count_different, many, {}),
        (fusion.fuse, (x, *many), {"weights": ones}),
        (fusion.fuse_elected, (x, x.sign(), *many), {"weights": ones}),
        (order._high_histogram, (x,), {}),
        (order._low_histogram, (zeros, torch.zeros(2, 2, dtype=torch.int64)), {}),
        (order._count_ties, (zeros, half), {}),
        (order._prune, (x, bounds, none_yet), {}),
        (order._prune, (zeros + 1, bounds, none_yet), {}),
        (order._prune, (x * float("inf"), infinite, none_yet), {}),
        (pruning._drop_at_random, (x,), chance),
        (pruning._drop_by_rank, (rows[0],), {**chance, "epsilon": 0.1}),
        (pruning._drop_by_rank, (x.reshape(1, -1),), {**chance, "epsilon": 0.1}),
        (model_stock._by_row, rows, {"clip": True}),
        (model_stock._by_row, pairs, {"clip": True}),
    ]
    cases += [(fusion.elect, many, {"weights": ones, "by": by}) for by in ("sum", "count", "max")]
    return [
        pytest.param(op, inputs, numbers, id=f"{op.name.rpartition('.')[2]}-{i}")
        for i, (op, inputs, numbers) in enumerate(cases)
    ]


@pytest.mark.parametrize(("op", "inputs", "numbers"), kernels())
def test_no_kernel_allocates_more_than_it_declares(op: Op, inputs, numbers):
    size = STRIP * 4
    if op.cut == "fold":  # the result itself is counted beside the copies
        result = op.kernel(*inputs, **numbers)
        size_of_result = result.numel() * result.element_size()
    else:
        size_of_result = 0
    most = allocated(lambda: op.kernel(*inputs, **numbers))
    assert most <= op.copies * size + size_of_result + SLACK
