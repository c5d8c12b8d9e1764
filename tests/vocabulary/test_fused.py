"""Rows read by a map in fused passes: the bytes that plain kernels give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mergegraph import loops
from mergegraph.files.header import Spliced, read_header
from mergegraph.ops.arithmetic import average, cast, load
from mergegraph.ops.gathering import mean_row, put_rows, taken
from mergegraph.plans import Output, plan_of
from mergegraph.rowmap import RowMap
from mergegraph.running.execute import execute
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import make_schedule
from mergegraph.spec import Spec


@pytest.fixture
def task(tmp_path):
    """Rows of two files by maps, a few put in, and means."""
    made = {name: torch.randn(300, 1000).bfloat16() for name in "ab"}
    save_file(made, tmp_path / "x.safetensors")
    a, b = read_header(tmp_path / "x.safetensors").entries.values()
    backwards = load(entry=b, rows=RowMap.of_rows([*range(299, -1, -1), -1, -1], of=300))
    both = Spliced((a, b), Spec((600, 1000), "bfloat16"))
    spliced = load(entry=both, rows=RowMap.of_rows([*range(100), *range(298, 500)], of=600))
    few = taken(load(entry=a, rows=RowMap.of_rows([7, 8], of=300)))
    backwards = put_rows(backwards, few, rows=RowMap.of_rows([*[-1] * 299, 0, 1, -1], of=2))
    row = mean_row(backwards, width=1000, of=301)
    filled = put_rows(backwards, row, rows=RowMap.of_rows([*[-1] * 301, 0], of=1))
    tasks = [cast(each, "float32") for each in (filled, spliced)]
    return cast(average(*tasks, weights=(1.0, 3.0)), "bfloat16")


def run(task, *, is_compiled, budget=2**30):
    schedule = make_schedule(plan_of([Output(Path(), "x", task)], ()), budget=budget, threads=2)
    sink = TensorSink(task.spec)
    execute(schedule, [sink], is_compiled=is_compiled)
    return sink.tensor


def test_fused_passes_give_the_same_bytes(task, monkeypatch):
    try:
        loops.compiled(loops.run, loops.RUN)
    except ImportError:
        monkeypatch.setattr(loops, "compiled", lambda loop, _signature: loop)
    assert torch.equal(run(task, is_compiled=True), run(task, is_compiled=False))


def test_strips_hold_what_the_maps_say(task, tmp_path):
    from safetensors.torch import load_file

    made = load_file(tmp_path / "x.safetensors")
    a, b = (made[name].float() for name in "ab")
    backwards = torch.cat([b.flip(0), torch.zeros(2, 1000)])
    backwards[299], backwards[300] = a[7], a[8]
    backwards[301] = (backwards[:301].double().sum(0) / 301).bfloat16().float()
    spliced = torch.cat([a[:100], a[298:], b[:200]])
    expected = (backwards * 0.25 + spliced * 0.75).bfloat16()
    assert torch.equal(run(task, is_compiled=False), expected)


def test_little_memory_gives_the_same_bytes(task):
    assert torch.equal(run(task, is_compiled=False, budget=2**24), run(task, is_compiled=False))
