"""Fused passes: whatever the method, the bytes that plain kernels give."""

from __future__ import annotations

import math
from hashlib import sha256

import pytest
import torch
from mergegraph_methods import (
    breadcrumbs,
    breadcrumbs_ties,
    dare_linear,
    dare_ties,
    della,
    linear,
    model_stock,
    slerp,
    ties,
)
from mergegraph_methods import task_arithmetic as arithmetic

from mergegraph import loops, op, ops, strips
from mergegraph.files.reading import MemoryEntry
from mergegraph.findings import Check
from mergegraph.instructions import Do
from mergegraph.ops.arithmetic import cast, load
from mergegraph.ops.folds import count_nonfinite
from mergegraph.plans import Output, plan_of
from mergegraph.running.execute import execute
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import make_schedule
from mergegraph.spec import Spec

CASES = [
    (linear.linear, {"weight": [0.3, 0.5]}),
    (slerp.slerp, {"t": 0.3}),
    (arithmetic.task_arithmetic, {"weight": [0.3, -0.5], "lambda": 0.7}),
    (ties.ties, {"weight": [0.3, 0.5], "density": 0.3}),
    (ties.ties, {"weight": [0.3, -0.5], "density": [0.3, 1.0]}),
    (ties.ties, {"weight": [1.0, 0.5], "density": 0.2, "normalize": False, "rescale": True}),
    (ties.ties, {"weight": 1.0, "density": 0.2, "elect": "count"}),
    (dare_linear.dare_linear, {"weight": [0.3, 0.5], "density": 0.4}),
    (dare_ties.dare_ties, {"weight": [0.3, 0.5], "density": 0.4, "rescale": "l1"}),
    (dare_ties.dare_ties, {"weight": [0.3, 0.5], "density": 0.4, "rescale": False}),
    (della.della, {"weight": [0.3, 0.5], "density": 0.4, "epsilon": 0.1}),
    (breadcrumbs.breadcrumbs, {"weight": [0.3, 0.5], "density": 0.4, "gamma": 0.05}),
    (breadcrumbs_ties.breadcrumbs_ties, {"weight": [0.3, 0.5], "density": 0.4, "gamma": 0.05}),
    (model_stock.model_stock, {}),
    (model_stock.model_stock, {"filter_wise": True}),
]


@pytest.fixture
def machine(monkeypatch):
    """Where there is no numba, the loop runs as it is written."""
    try:
        loops.compiled(loops.run, loops.RUN)
    except ImportError:
        monkeypatch.setattr(loops, "compiled", lambda loop, _signature: loop)


def merged(merge_task, method, tensors, values):
    """What a method makes of a base and models; the base is left out where none is needed."""
    base, *models = (cast(each, "float32") for each in tensors)
    return merge_task(method, base if method.needs_base else None, models, **values)


def bytes_of(task, *, is_compiled, threads=2):
    check = Check(count_nonfinite(task), "the result is not finite", is_fatal=True)
    plan = plan_of([Output("out", "w", task)], [check])
    schedule = make_schedule(plan, budget=2**30, threads=threads)
    sink = TensorSink(task.spec)
    execute(schedule, [sink], is_compiled=is_compiled)
    return sink.tensor.reshape(-1).view(torch.uint8)


def model(shape, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    tensor = (base + 0.1 * torch.randn(shape, generator=generator)).to(dtype)
    spec = Spec(tuple(shape), str(dtype).removeprefix("torch."))
    return load(entry=MemoryEntry(tensor, spec, f"{spec}{seed}"))


@pytest.mark.parametrize(("method", "values"), CASES, ids=lambda value: getattr(value, "name", ""))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(37, 500), (9000,), (3, 5)])
def test_fused_passes_give_the_bytes_of_plain_ones(
    machine, monkeypatch, merge_task, method, values, dtype, shape
):
    monkeypatch.setattr(strips, "STRIP", 2048)
    tensors = [model(shape, seed, dtype) for seed in range(3)]
    task = cast(merged(merge_task, method, tensors, values), str(dtype).removeprefix("torch."))
    assert torch.equal(bytes_of(task, is_compiled=True), bytes_of(task, is_compiled=False))


class Digested(TensorSink):
    """A sink that holds the digest of an output against its bytes."""

    def finish(self, digest):
        bits = self.tensor.reshape(-1).view(torch.uint8).numpy()
        assert sha256(bits.tobytes()).hexdigest() == digest


def run_both_ways(outputs, *, checks=()):
    """The bytes of outputs by fused passes and by plain ones, their digests looked at."""
    found = []
    for is_compiled in (True, False):
        plan = plan_of([Output("out", f"t{i}", task) for i, task in enumerate(outputs)], checks)
        schedule = make_schedule(plan, budget=2**30, threads=3)
        sinks = [Digested(each.task.spec) for each in schedule.outputs]
        execute(schedule, sinks, is_compiled=is_compiled)
        found.append([each.tensor.reshape(-1).view(torch.uint8) for each in sinks])
    return found


def same(outputs):
    fused, plain = run_both_ways(outputs)
    return all(torch.equal(*pair) for pair in zip(fused, plain, strict=True))


@pytest.fixture
def small_strips(monkeypatch):
    monkeypatch.setattr(strips, "STRIP", 512)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_copies_beside_merges_have_the_digests_of_their_bytes(machine, small_strips, dtype):
    a, b = (model((90, 333), seed, dtype) for seed in range(2))
    change = ops.delta(cast(a, "float32"), cast(b, "float32"))
    stored = cast(change, str(dtype).removeprefix("torch."))
    assert same([a, stored, b])


def test_plain_steps_that_are_written_have_the_digests_of_their_bytes(machine, small_strips):
    a, b = (model((90, 333), seed, torch.float32) for seed in range(2))
    elected = ops.elect(a, b, weights=(1.0, -0.5))
    assert same([ops.fuse_elected(a, elected, a, b, weights=(1.0, -0.5)), a])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_dtypes_go_the_plain_way(machine, small_strips, dtype):
    a, b = (cast(model((40, 333), seed, dtype), "float32") for seed in range(2))
    pruned = ops.prune_by_magnitude(ops.delta(a, b), density=0.3)
    assert same([cast(pruned, str(dtype).removeprefix("torch.")), a])


@pytest.mark.parametrize("shape", [(0,), (0, 3), (), (1,)])
@pytest.mark.parametrize(("method", "values"), [CASES[3], CASES[7], CASES[10]])
def test_empty_and_single_tensors_pass(machine, merge_task, shape, method, values):
    tensors = [model(shape, seed, torch.bfloat16) for seed in range(3)]
    assert same([cast(merged(merge_task, method, tensors, values), "bfloat16")])


@pytest.mark.parametrize("special", [math.inf, -math.inf, 0.0, -0.0, 3e38])
def test_special_numbers_pass(machine, small_strips, special):
    tensors = []
    for seed in range(3):
        spoilt = torch.randn(50, 60, generator=torch.Generator().manual_seed(seed))
        spoilt[seed::7] = special
        tensors.append(
            load(entry=MemoryEntry(spoilt, Spec((50, 60), "float32"), f"{special}{seed}"))
        )
    base, *models = tensors
    deltas = [ops.prune_to_band(ops.delta(each, base), keep=900, top=30) for each in models]
    signs = ops.elect(*deltas, weights=(0.5, 0.25))
    fused, plain = run_both_ways([ops.fuse_elected(base, signs, *deltas, weights=(0.5, 0.25))])
    numbers = [each[0].view(torch.float32).nan_to_num(7) for each in (fused, plain)]
    assert torch.equal(*numbers)


def test_ops_on_narrow_floats_are_rounded_as_their_kernels_round(machine, small_strips):
    narrow = ops.scale(model((30, 70), 1, torch.bfloat16), factor=0.3)
    assert same([narrow, ops.delta(narrow, model((30, 70), 2, torch.bfloat16))])


def halved(code, out, tensor, *, by):
    return NotImplemented if by == 2 else code.do(Do.COUNT_NONFINITE, out, tensor)


@op(cut="fold", infer=lambda _tensor, *, by: Spec((1,), "int64"), code=halved)
def counted(tensor, *, by):
    return torch.tensor([tensor.numel() // by])


@op(cut="scan", infer=lambda _tensor: Spec((1,), "int64"))
def entries_before(tensor):
    return torch.tensor([tensor.numel()])


@op(cut="pointwise", infer=lambda tensor, _before: tensor)
def plus_before(tensor, before):
    return tensor + before.item()


def test_ops_of_plugins_that_cannot_be_told_are_done_by_their_kernels(machine, small_strips):
    a, b = (model((30, 70), seed, torch.float32) for seed in range(2))
    change = ops.delta(a, b)
    assert same(
        [ops.scale_by(change, counted(change, by=2)), plus_before(b, entries_before(change))]
    )
