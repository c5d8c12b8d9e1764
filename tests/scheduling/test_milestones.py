"""Milestones: what a run notes is enough to go on from, wherever it stopped."""

from __future__ import annotations

from hashlib import sha256

import pytest
from drawn import MIB, drawn_plan, feasible, first_of, tensor_task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mergegraph import ops, strips
from mergegraph.plans import Output, plan_of
from mergegraph.running import milestones
from mergegraph.running.dispatch import bytes_of
from mergegraph.running.execute import execute
from mergegraph.running.milestones import Left
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import make_schedule


class Notes:
    """A log in memory, of which a later run may be told no more than the first notes."""

    def __init__(self, sinks=()):
        self.sinks = sinks
        self.told = []

    def values(self, values):
        self.told.append({key: value.clone() for key, value in values.items()})

    def milestone(self, name, milestone):
        self.told.append((name, milestone))

    def digest(self, output, entries):
        return sha256(bytes_of(self.sinks[output].tensor.reshape(-1)[:entries].contiguous()))

    def left(self, count):
        """What a run left that was killed after so many notes."""
        values, found = {}, {}
        for each in self.told[:count]:
            if isinstance(each, dict):
                values |= each
            else:
                found[each[0]] = each[1]
        return Left(values, found)


@pytest.fixture
def noted_often(monkeypatch):
    monkeypatch.setattr(strips, "STRIP", 1024)
    monkeypatch.setattr(milestones, "_EVERY", 1)
    monkeypatch.setattr(milestones, "_TIMES_STATE", 0)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), threads=st.sampled_from([1, 3]))
def test_a_run_goes_on_from_any_note(noted_often, data, threads):
    plan = drawn_plan(data)
    schedule = make_schedule(plan, budget=256 * MIB, threads=threads)
    sinks = [TensorSink(each.task.spec) for each in schedule.outputs]
    notes = Notes()
    execute(schedule, sinks, log=notes)
    left = notes.left(data.draw(st.integers(0, len(notes.told))))
    known = {key: value.nbytes for key, value in left.values.items()}
    outputs = {each.name: sink for each, sink in zip(schedule.outputs, sinks, strict=True)}
    done = data.draw(st.sets(st.sampled_from([("out", name) for name in outputs])))
    for again in list(feasible(plan, threads, done=done, known=known))[:3]:
        found = [TensorSink(each.task.spec) for each in again.outputs]
        for each, sink in zip(again.outputs, found, strict=True):
            sink.tensor.copy_(outputs[each.name].tensor)  # also what comes after the milestones
        execute(again, found, left=left, log=Notes(found))
        for each, sink in zip(again.outputs, found, strict=True):
            assert sink.tensor.equal(outputs[each.name].tensor)


def test_known_values_are_computed_again_where_they_find_no_room():
    a, b = tensor_task(1, 300, 700), tensor_task(2, 300, 700)
    factor = first_of(ops.absolute_sums(b))
    plan = plan_of([Output("out", "w", ops.scale_by(a, factor))], [])
    least = make_schedule(plan, budget=64 * MIB).peak_nbytes
    known = {factor.key: least}
    assert make_schedule(plan, budget=least, known=known).given == frozenset()
    assert make_schedule(plan, budget=3 * least, known=known).given == {factor.key}
