"""Targets: which of them may be written as soon as they are complete."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mergegraph.files.reading import MemoryEntry
from mergegraph.inmemory.overwriting import late_ones
from mergegraph.inmemory.targets import TargetSink
from mergegraph.ops import absolute_sums, delta, scale, scale_by, total
from mergegraph.ops.arithmetic import load
from mergegraph.plans import Output, plan_of
from mergegraph.scheduling.schedule import make_schedule
from mergegraph.spec import Spec

A, B, C = (torch.randn(300) for _ in range(3))


def read(tensor):
    return load(entry=MemoryEntry(tensor, Spec.of(tensor), f"{tensor.data_ptr()}"))


def late(tasks, targets):
    """The numbers of the targets that must wait, if each is to hold what a task comes to."""
    outputs = [Output(Path("memory"), f"{i}", task) for i, task in enumerate(tasks)]
    return late_ones(make_schedule(plan_of(outputs, []), budget=2**20), targets)


def test_a_target_may_be_what_it_is_made_of():
    assert late([delta(read(A), read(B))], [A]) == set()
    assert late([delta(read(A), read(B))], [B]) == set()


def test_a_target_that_is_made_in_several_passes_may_be_what_it_is_made_of():
    size = absolute_sums(delta(read(A), read(B)))
    assert late([scale_by(delta(read(A), read(B)), size)], [B]) == set()


def test_what_other_outputs_are_made_of_waits():
    tasks = [scale(read(A), factor=2.0), scale(read(B), factor=2.0)]
    assert late(tasks, [A, C]) == set()
    assert late(tasks, [C, A]) == {1}
    assert late(tasks, [B, A]) == {0, 1}


def test_outputs_of_one_pass_need_not_wait_for_each_other():
    tasks = [delta(read(A), read(B)), delta(read(C), read(A))]
    assert late(tasks, [C, B]) == set()


def test_what_is_looked_at_as_a_whole_before_any_is_written_need_not_wait():
    size = total([absolute_sums(each) for each in map(read, (A, B, C))])
    assert late([scale_by(read(each), size) for each in (A, B, C)], [A, B, C]) == set()


def test_parts_of_one_room_do_not_disturb_each_other():
    room = torch.randn(4, 100)
    tasks = [scale(read(row), factor=2.0) for row in room]
    assert late(tasks, list(room)) == set()
    assert late(tasks, [*room[1:], room[0]]) == {0, 1, 2, 3}


def test_parts_that_overlap_wait():
    room = torch.randn(400)
    tasks = [scale(read(part), factor=2.0) for part in (room[:300], room[100:])]
    assert late(tasks, [room[:300], room[100:]]) == {0, 1}


def test_tensors_without_entries_are_nowhere():
    none = torch.empty(0)
    assert late([delta(read(none), read(none))], [none]) == set()


@pytest.mark.parametrize("is_late", [False, True])
def test_a_sink_writes_when_all_is_there(is_late):
    target = torch.zeros(2, 3).T
    sink = TargetSink("w", target, is_late=is_late)
    sink.write(4, torch.tensor([4.0, 5.0]))
    sink.write(0, torch.tensor([0.0, 1.0, 2.0, 3.0]))
    assert not target.any()
    sink.finish("")
    assert sink.is_written is not is_late
    if is_late:
        assert not target.any()
        sink.land()
    assert target.tolist() == [[0, 1], [2, 3], [4, 5]]
