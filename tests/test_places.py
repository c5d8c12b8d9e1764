"""Places: strips computed elsewhere come to the same, to a unit in the last place."""

from __future__ import annotations

import pytest
import torch
from mergegraph_methods import dare_ties, della, linear, model_stock, slerp, ties

from mergegraph.files.reading import MemoryEntry
from mergegraph.ops.arithmetic import cast, load
from mergegraph.plans import Output, plan_of
from mergegraph.running.execute import execute
from mergegraph.running.places import Accelerator, Host
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import TOGETHER_ON_DEVICE, make_schedule
from mergegraph.settings import Settings
from mergegraph.spec import Spec

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
METHODS = [
    (linear.linear, {}),
    (slerp.slerp, {"t": 0.3}),
    (ties.ties, {"density": 0.3}),
    (dare_ties.dare_ties, {"density": 0.4}),
    (della.della, {"density": 0.4, "epsilon": 0.1}),
    (model_stock.model_stock, {}),
]


class Elsewhere(Host):
    """Main memory, but with the kernels and the copies of a device."""

    is_host = False

    def take(self, value):
        return value.clone()

    def give(self, value):
        return value.clone()


def merged(merge_task, method, values):
    tensors = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        tensor = torch.randn(300, 700, generator=generator).bfloat16()
        tensors.append(load(entry=MemoryEntry(tensor, Spec((300, 700), "bfloat16"), f"{seed}")))
    base, *models = (cast(each, "float32") for each in tensors)
    made = merge_task(method, base if method.needs_base else None, models, **values)
    return cast(made, "bfloat16")


def computed(task, place, together=1):
    plan = plan_of([Output("out", "w", task)], [])
    schedule = make_schedule(plan, budget=2**30, threads=2, together=together)
    sink = TensorSink(task.spec)
    execute(schedule, [sink], place=place)
    return sink.tensor


def units_apart(first, second):
    """The most that entries differ, in units of the last place."""
    ordered = []
    for each in (first, second):
        bits = each.reshape(-1).view(torch.int16).int()
        ordered.append(torch.where(bits < 0, -(bits & 0x7FFF), bits))
    return (ordered[0] - ordered[1]).abs().max().item()


@pytest.mark.parametrize(
    "place", [Elsewhere, pytest.param(Accelerator, marks=NEEDS_CUDA)], ids=["kernels", "cuda"]
)
@pytest.mark.parametrize(
    ("method", "values"), METHODS, ids=lambda value: getattr(value, "name", "")
)
def test_a_device_comes_to_the_same(merge_task, method, values, place):
    task = merged(merge_task, method, values)
    there = computed(task, place(), TOGETHER_ON_DEVICE)
    assert units_apart(there, computed(task, Host())) <= 1


def test_nothing_is_computed_on_a_device_unless_it_is_asked_for():
    assert not Settings().is_on_device
    assert not Settings(device="cpu").is_on_device
    assert Settings(device="cuda").is_on_device
