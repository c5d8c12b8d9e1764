"""What compiled passes cost, from stored weights to stored weights; `make bench` times them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mergegraph import ops
from mergegraph.plans import Output, plan_of
from mergegraph.plugins import installed_plugins
from mergegraph.running.execute import execute
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import make_schedule
from mergegraph.testing import constant

SIDE = 1024
METHODS = {
    "linear": {"weight": [0.4] * 3},
    "task_arithmetic": {"weight": [0.4] * 3},
    "ties": {"weight": [0.4] * 3, "density": [0.5] * 3},
    "dare_ties": {"weight": [0.4] * 3, "density": [0.5] * 3, "seeds": [0, 1, 2]},
    "della": {"weight": [0.4] * 3, "density": [0.5] * 3, "epsilon": [0.1] * 3, "seeds": [0, 1, 2]},
    "model_stock": {},
}


def schedule_of(name):
    """Of a merge of three models, all weights in bfloat16."""
    method = installed_plugins().methods[name]
    random = torch.Generator().manual_seed(0)
    tensors = [torch.randn(SIDE, SIDE, generator=random).bfloat16() for _ in range(4)]
    base, *models = (ops.cast(constant(each), "float32") for each in tensors)
    defaults = {
        key: [each.default] * len(models) if each.per_model else each.default
        for key, each in method.parameters.items()
    }
    task = method(base if method.needs_base else None, models, **{**defaults, **METHODS[name]})
    output = Output(Path("memory"), "w", ops.cast(task, "bfloat16"))
    return make_schedule(plan_of([output], []), budget=2**30, threads=1)


@pytest.mark.parametrize("method", METHODS)
def test_passes_of(compared, method):
    pytest.importorskip("numba")
    schedule = schedule_of(method)
    sinks = [TensorSink(each.task.spec) for each in schedule.outputs]
    execute(schedule, sinks, is_compiled=True)
    compared(lambda: execute(schedule, sinks, is_compiled=True), SIDE**2)
