"""Tasks on tensors in memory: made, and evaluated at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from mergegraph import strips
from mergegraph.errors import MergeGraphError
from mergegraph.files.reading import MemoryEntry
from mergegraph.ops.arithmetic import load
from mergegraph.plans import Output, Plan, plan_of
from mergegraph.running.execute import execute
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import make_schedule
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

ROOMY = 2**30  # a budget that no tiny tensor needs


def constant(tensor: Any) -> Task:
    """A task whose value is a copy of this tensor; equal tensors give equal tasks."""
    value = tensor.detach().contiguous().clone()
    spec = Spec.of(value)
    digest = sha256(value.reshape(-1).view(torch.uint8).numpy().data).hexdigest()
    return load(entry=MemoryEntry(value, spec, f"memory:{spec}:{digest}"))


def small(tensor: Any) -> Task:
    """A task of a few numbers, which ops are handed whole: in place of a fold's result."""
    return _as_small(constant(tensor))


def evaluate(task: Task, *, budget: int = ROOMY, threads: int = 1) -> Any:
    """The value of a task, computed as in a merge; raises MergeGraphError beyond the budget."""
    plan = _plan(task)
    sink = TensorSink(task.spec)
    execute(make_schedule(plan, budget=budget, threads=threads), [sink])
    return sink.tensor


def tightest_budget(task: Task) -> int:
    """The smallest power of two that a task can be evaluated within."""
    plan, budget = _plan(task), ROOMY
    while budget > 1 and _fits(plan, budget // 2):
        budget //= 2
    return budget


@contextmanager
def strips_of(entries: int) -> Iterator[None]:
    """Cut tensors into strips of about so many entries meanwhile, tiny ones, too."""
    before = strips.STRIP
    strips.STRIP = entries
    try:
        yield
    finally:
        strips.STRIP = before


@op(small=True)
def _as_small(tensor: Any) -> Any:
    return tensor.clone()


def _plan(task: Task) -> Plan:
    return plan_of([Output(Path("memory"), "value", task)], [])


def _fits(plan: Plan, budget: int) -> bool:
    try:
        make_schedule(plan, budget=budget)
    except MergeGraphError:
        return False
    return True
