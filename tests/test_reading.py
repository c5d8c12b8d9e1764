"""Readings: values that stay in memory."""

from __future__ import annotations

import pytest
import torch

from mergegraph import MergeGraphError, settings
from mergegraph.ops.arithmetic import scale
from mergegraph.plans import plan_of
from mergegraph.running.reading import gather, in_memory, make_reading
from mergegraph.settings import Settings

MIB = 2**20


@pytest.fixture
def plan(task_of):
    one, other = task_of([1.0, 2.0]), task_of([[3.0], [4.0]])
    tasks = [scale(one, factor=2.0), other, scale(one, factor=2.0)]
    return plan_of([in_memory("the same name", each) for each in tasks], ())


def test_values_come_in_the_order_of_the_outputs_whatever_their_names(plan):
    found = gather(make_reading(plan, budget=64 * MIB, threads=2))
    assert [each.tolist() for each in found] == [[2, 4], [[3], [4]], [2, 4]]


def test_values_are_put_into_tensors_that_are_given(plan):
    given = [None, torch.zeros(2, 1), None]
    found = gather(make_reading(plan, budget=64 * MIB, threads=1), into=given)
    assert found[1] is given[1]
    assert given[1].tolist() == [[3], [4]]
    assert found[0].tolist() == [2, 4]


def test_what_does_not_fit_is_refused_before_anything_is_read(task_of):
    large = plan_of([in_memory("w", scale(task_of(torch.zeros(10**6)), factor=2.0))], ())
    with pytest.raises(MergeGraphError, match=r"most of it for w, and the budget is 0 MiB"):
        make_reading(large, budget=1000, threads=1)


def test_a_reading_asks_once_how_much_memory_is_free(plan, monkeypatch):
    """All is decided by one number, though it changes while other programs run."""
    answers = iter([2 * 512 * MIB])
    monkeypatch.setattr(settings, "free_memory", lambda: next(answers))
    reading = Settings(threads=1).reading(plan, may_compile=True)
    assert reading.schedule.budget == 512 * MIB
    assert reading.is_compiled
