"""Kernels that are compiled: the same bits, whenever they are ready."""

from __future__ import annotations

import math

import pytest
import torch
from mergegraph_methods import della, ties

from mergegraph import op
from mergegraph.ops import prune_to_band
from mergegraph.running.kernels import Kernels
from mergegraph.running.places import Host
from mergegraph.tasks import walk

HOST = Host()
SPECIAL = [0.0, -0.0, 1.0, -1.0, 1e-42, -1e-42, math.inf, -math.inf, math.nan, 3e38]


def coarse(rows: int, entries: int, seed: int) -> torch.Tensor:
    """Many equal magnitudes, zeros of both signs, numbers that are none."""
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(rows, entries, generator=generator).mul(4).round().div(4)
    tensor[0, : len(SPECIAL)] = torch.tensor(SPECIAL)[:entries]
    return tensor


def equal_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    """To the last bit; that a number is none may be written in several ways."""
    numbers = ~(first.isnan() & second.isnan()) if first.is_floating_point() else ...
    bits = torch.int32 if first.dtype == torch.float32 else first.dtype
    return torch.equal(first.view(bits)[numbers], second.view(bits)[numbers])


def given(task, values):
    """What a kernel is handed for the whole of a tensor."""
    for each in task.inputs:
        value = values[each.key]
        yield value if each.is_small or each.is_scan else value.reshape(-1, *task_row(task, each))


def task_row(task, each):
    return (each.spec.row,) if task.op.cut == "rowwise" else ()


@pytest.mark.parametrize("shape", [(7, 300), (1, 2100), (40, 11)])
@pytest.mark.parametrize("weights", [[1.0, 1.0], [0.3, 0.0], [0.7, -0.2]])
@pytest.mark.parametrize("normalize", [True, False])
def test_other_kernels_give_what_the_plain_ones_do(shape, weights, normalize, merge_task, task_of):
    pytest.importorskip("numba")
    base, *models = (coarse(*shape, seed) for seed in range(3))
    roots = [
        merge_task(ties.ties, base, models, weight=weights, density=0.4, normalize=normalize),
        merge_task(della.della, base, models, weight=weights, density=0.5, normalize=normalize),
        prune_to_band(task_of(models[0]), keep=shape[1], top=5),
    ]
    values: dict[str, torch.Tensor] = {}
    checked = set()
    for task in walk(*roots):
        if task.op.cut == "load":
            values[task.key] = task.numbers["entry"].tensor.reshape(-1)
            continue
        position = {"start": 0} if task.op.positioned else {}
        inputs = list(given(task, values))
        plain = task.op.kernel(*inputs, **task.numbers, **position)
        if task.op.fast is not None:
            compiled = task.op.fast()(*inputs, **task.numbers, **position)
            assert equal_bits(plain, compiled), task.op.name
            checked.add(task.op.name)
        if task.op.device is not None:
            there = task.op.device(*inputs, **task.numbers, **position)
            assert torch.equal(there.nan_to_num(7), plain.nan_to_num(7)), task.op.name
            checked.add(f"{task.op.name} on a device")
        value = task.op.finish(plain) if task.op.gathers else plain
        values[task.key] = torch.zeros_like(value) if task.is_scan else value
    assert len(checked) == 1 + 4  # the ranks of rows; and four that use numpy have another form


def test_what_is_compiled_is_taken(task_of):
    @op(cut="pointwise", fast=lambda: lambda _tensor: "fast")
    def plain(tensor):
        return tensor

    task = plain(task_of([1.0]))
    assert Kernels([task.op]).of(task, HOST)(None) == "fast"
    assert Kernels([]).of(task, HOST) is plain.kernel


def test_what_cannot_be_compiled_is_told_and_done_without(task_of):
    def broken():
        raise ImportError("no compiler")

    @op(cut="pointwise", fast=broken)
    def plain(tensor):
        return tensor

    task = plain(task_of([1.0]))
    kernels = Kernels([task.op])
    assert kernels.of(task, HOST) is plain.kernel
    assert "cannot be compiled, done without: no compiler" in kernels.failures[0]
