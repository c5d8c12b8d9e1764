"""Fused passes: whatever the method, the bytes that plain kernels give."""

from __future__ import annotations

import pytest
import torch
from mergegraph_methods import breadcrumbs, dare, della, linear, model_stock, slerp, ties
from mergegraph_methods import task_arithmetic as arithmetic

from mergegraph import loops, strips
from mergegraph.execute import execute
from mergegraph.findings import Check
from mergegraph.memory import TensorSink
from mergegraph.ops.arithmetic import cast, load
from mergegraph.ops.folds import count_nonfinite
from mergegraph.plans import Output, plan_of
from mergegraph.reading import MemoryEntry
from mergegraph.schedule import make_schedule
from mergegraph.spec import Spec

CASES = [
    (linear.linear, {"weight": [0.3, 0.5]}),
    (slerp.slerp, {"t": 0.3}),
    (arithmetic.task_arithmetic, {"weight": [0.3, -0.5], "lambda": 0.7}),
    (ties.ties, {"weight": [0.3, 0.5], "density": 0.3}),
    (ties.ties, {"weight": [0.3, -0.5], "density": [0.3, 1.0]}),
    (ties.ties, {"weight": [1.0, 0.5], "density": 0.2, "normalize": False, "rescale": True}),
    (ties.ties, {"weight": 1.0, "density": 0.2, "elect": "count"}),
    (dare.dare_linear, {"weight": [0.3, 0.5], "density": 0.4}),
    (dare.dare_ties, {"weight": [0.3, 0.5], "density": 0.4, "rescale": "l1"}),
    (dare.dare_ties, {"weight": [0.3, 0.5], "density": 0.4, "rescale": False}),
    (della.della, {"weight": [0.3, 0.5], "density": 0.4, "epsilon": 0.1}),
    (breadcrumbs.breadcrumbs, {"weight": [0.3, 0.5], "density": 0.4, "gamma": 0.05}),
    (breadcrumbs.breadcrumbs_ties, {"weight": [0.3, 0.5], "density": 0.4, "gamma": 0.05}),
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
    merged = method_task(merge_task, method, tensors, values)
    task = cast(merged, str(dtype).removeprefix("torch."))
    assert torch.equal(bytes_of(task, is_compiled=True), bytes_of(task, is_compiled=False))


def method_task(merge_task, method, tensors, values):
    base, *models = (cast(each, "float32") for each in tensors)
    given = {}
    for name, parameter in method.parameters.items():
        value = values.get(name, 1.0 if parameter.required else parameter.default)
        spread = parameter.per_model and not isinstance(value, list)
        given[name] = [value] * len(models) if spread else value
    if method.draws:
        given["seeds"] = list(range(len(models)))
    wants_base = method.needs_base
    return method(base if wants_base else None, models, **given)
