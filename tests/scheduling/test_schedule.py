"""Schedules: laws that every plan keeps, whatever the budget."""

from __future__ import annotations

import pytest
import torch
from drawn import MIB, drawn_plan, feasible, first_of, reversed_rows, sorted_whole, tensor_task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mergegraph import MergeGraphError, Spec, op, ops, strips
from mergegraph.findings import Check
from mergegraph.ops.arithmetic import crop, extend
from mergegraph.ops.folds import count_nonfinite
from mergegraph.ops.order import prune_by_magnitude
from mergegraph.ops.pruning import prune_by_rank
from mergegraph.plans import Output, plan_of
from mergegraph.running.execute import execute
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import make_schedule


def run(plan, budget, threads=1):
    schedule = make_schedule(plan, budget=budget, threads=threads)
    sinks = [TensorSink(each.task.spec) for each in schedule.outputs]
    execute(schedule, sinks)
    return schedule, [sink.tensor for sink in sinks]


@pytest.fixture
def small_strips(monkeypatch):
    monkeypatch.setattr(strips, "STRIP", 16 * 1024)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from([1, 2, 3]))
def test_any_budget_and_any_threads_give_the_same_bytes(small_strips, data, threads):
    plan = drawn_plan(data)
    _, expected = run(plan, 256 * MIB)
    tight = {each.peak_nbytes: each for each in feasible(plan, threads)}
    for schedule in tight.values():
        sinks = [TensorSink(each.task.spec) for each in schedule.outputs]
        execute(schedule, sinks)
        for one, sink in zip(expected, sinks, strict=True):
            assert torch.equal(one, sink.tensor)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_value_is_there_when_it_is_used_and_gone_at_the_end(small_strips, data):
    plan = drawn_plan(data)
    schedule = data.draw(st.sampled_from(list(feasible(plan))))
    stored = set()
    finished = set()
    for number, unit in enumerate(schedule.units):
        assert finished >= set(unit.needs)
        for part in unit.passes:
            assert {task.key for task in part.held} <= stored
            alive = {task.key for task in part.held}
            for task, dropped in zip(part.steps, part.drops, strict=True):
                assert all(each.key in (stored if each.is_small else alive) for each in task.inputs)
                alive.add(task.key)
                assert set(dropped) <= alive
                alive -= set(dropped)
            stored |= {task.key for task in (*part.keeps, *part.folds)}
            for task in part.then:
                assert all(each.key in stored for each in task.inputs)
                stored.add(task.key)
            stored -= set(part.frees)
        finished.add(number)
    written = sorted(i for part in schedule.passes for on in part.writes.values() for i in on)
    assert written == list(range(len(plan.outputs)))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_larger_budget_never_reads_more(small_strips, data):
    plan = drawn_plan(data)
    schedules = list(feasible(plan))
    reads = [schedule.read_nbytes for schedule in schedules]
    assert reads == sorted(reads, reverse=True)
    assert reads == [counted_reads(schedule) for schedule in schedules]


def counted_reads(schedule):
    """Bytes read by all passes."""
    return sum(task.spec.nbytes for each in schedule.passes for task in each.loads)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.integers(1, 4))
def test_what_is_told_of_another_budget_is_what_it_comes_to(small_strips, data, threads):
    plan = drawn_plan(data)
    told = make_schedule(plan, budget=256 * MIB, threads=threads)
    for schedule in feasible(plan, threads):
        fit = told.at(schedule.budget)
        assert fit.is_within
        assert (fit.read_nbytes, fit.peak_nbytes) == (schedule.read_nbytes, schedule.peak_nbytes)
        assert fit.passes == len(list(schedule.passes))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_values_never_take_more_than_their_unit_says(small_strips, data):
    plan = drawn_plan(data)
    schedule = data.draw(st.sampled_from(list(feasible(plan))))
    lasting = {task.key for unit in schedule.units for task in needed_elsewhere(schedule, unit)}
    for unit in schedule.units:
        stored = {}
        for part in unit.passes:
            for task in (*part.keeps, *part.folds, *part.then):
                if task.key not in lasting:
                    stored[task.key] = task.spec.nbytes
                assert sum(stored.values()) <= unit.nbytes
            for key in part.frees:
                del stored[key]
        assert not stored
    assert schedule.peak_nbytes <= schedule.budget


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_values_for_other_units_find_room_and_are_let_go(small_strips, data):
    plan = drawn_plan(data)
    schedule = data.draw(st.sampled_from(list(feasible(plan))))
    lent = {}
    for i, unit in enumerate(schedule.units):
        made = {task.key: task.spec.nbytes for task in needed_elsewhere(schedule, unit)}
        assert unit.lends == sum(made.values())
        lent |= made
        assert sum(lent.values()) + unit.nbytes <= schedule.room
        for task in unit.borrows:
            assert task.key in lent
            if not any(task in later.borrows for later in schedule.units[i + 1 :]):
                del lent[task.key]
    assert not lent


def needed_elsewhere(schedule, unit):
    """The values of a unit that other units take from the store, and do not make themselves."""
    for other in schedule.units:
        if other is not unit:
            for part in other.passes:
                taken = {*part.held, *(each for task in part.then for each in task.inputs)}
                taken |= {i for task in part.steps for i in task.inputs if i.is_small}
                yield from (taken & made_in(unit)) - made_in(other)


def made_in(unit):
    return {task for part in unit.passes for task in (*part.keeps, *part.folds, *part.then)}


def test_a_portion_is_scheduled_as_if_it_were_alone(small_strips):
    """Layers of equal structure share one design: it must fit each of them."""
    outputs = [Output("out", f"w{i}", layer(10 * i)) for i in range(3)]
    units = make_schedule(plan_of(outputs, []), budget=64 * MIB).units
    for output, unit in zip(outputs, units, strict=True):
        (alone,) = make_schedule(plan_of([output], []), budget=64 * MIB).units
        for ours, theirs in zip(unit.passes, alone.passes, strict=True):
            assert (ours.steps, ours.held, ours.keeps) == (theirs.steps, theirs.held, theirs.keeps)
            assert (ours.then, ours.frees, ours.ends) == (theirs.then, theirs.frees, theirs.ends)
            assert list(ours.writes) == list(theirs.writes)


def layer(seed):
    """A pruned task vector on its base."""
    base, model = tensor_task(seed, 300, 700), tensor_task(seed + 1, 300, 700)
    pruned = prune_by_magnitude(ops.delta(model, base), density=0.5)
    return ops.fuse(base, pruned, weights=(1.0,))


def test_a_stage_is_kept_where_its_inputs_find_no_room():
    """
    a ─┐
    b ─┼─▶ average ─▶ norm ─▶ scaled
    c ─┘      └───────────────┘
    """
    inputs = [tensor_task(i, 4000, 1000) for i in range(3)]
    average = ops.average(*inputs, weights=(1, 1, 1))
    scaled = ops.scale_by(average, first_of(ops.absolute_sums(average)))
    schedule = make_schedule(plan_of([Output("out", "w", scaled)], []), budget=32 * MIB)
    assert schedule.read_nbytes == sum(task.spec.nbytes for task in inputs)
    assert [task for part in schedule.passes for task in part.keeps] == [average]


def test_what_takes_long_is_computed_once_where_there_is_room():
    """
    a ─▶ pruned by rank ─▶ norm ─▶ scaled
              └────────────────────┘
    """
    pruned = prune_by_rank(tensor_task(1, 4000, 1000), density=0.5, epsilon=0.1, seed=1)
    scaled = ops.scale_by(pruned, first_of(ops.absolute_sums(pruned)))
    plan = plan_of([Output("out", "w", scaled)], [])
    for budget, times in ((32 * MIB, 1), (16 * MIB, 2)):
        steps = [t for p in make_schedule(plan, budget=budget).passes for t in p.steps]
        assert steps.count(pruned) == times


def test_what_is_not_computed_is_neither_checked_nor_read():
    a, b = tensor_task(1, 4), tensor_task(2, 4)
    checks = [Check(count_nonfinite(each), "not finite", is_fatal=True) for each in (a, b)]
    plan = plan_of([Output("out", "w", ops.scale(a, factor=2.0))], checks)
    assert plan.checks == (checks[0],)
    assert b not in list(plan.tasks)


def test_no_schedule_passes_its_budget():
    a = tensor_task(1, 900, 1000)
    plan = plan_of([Output("out", "w", prune_by_magnitude(a, density=0.5))], [])
    for budget in (10 * MIB, 20 * MIB, 100 * MIB):
        for threads in (1, 2, 7):
            assert make_schedule(plan, budget=budget, threads=threads).peak_nbytes <= budget


def test_a_pointwise_merge_reads_every_input_once():
    a, b = tensor_task(1, 300, 300), tensor_task(2, 300, 300)
    plan = plan_of([Output("out", "w", ops.average(a, b, weights=(1, 1)))], [])
    schedule = make_schedule(plan, budget=64 * MIB)
    assert len(list(schedule.passes)) == 1
    assert schedule.read_nbytes == a.spec.nbytes + b.spec.nbytes


def test_outputs_that_share_inputs_share_one_reading():
    """
    a ─▶ half
    └──▶ double
    """
    a = tensor_task(1, 300, 300)
    outputs = [
        Output("x", "w", ops.scale(a, factor=0.5)),
        Output("y", "w", ops.scale(a, factor=2.0)),
    ]
    assert make_schedule(plan_of(outputs, []), budget=64 * MIB).read_nbytes == a.spec.nbytes


def test_equal_tasks_are_one_node():
    a, b = tensor_task(1, 4), tensor_task(2, 4)
    outputs = [Output("x", "w", ops.delta(a, b)), Output("y", "w", ops.delta(a, b))]
    assert len(plan_of(outputs, []).graph) == 3


def test_inputs_are_read_again_where_the_budget_does_not_hold_them():
    a, b = tensor_task(1, 4000, 1000), tensor_task(2, 4000, 1000)
    interpolated = ops.combine(a, b, first_pair(ops.gram(a, b)))
    plan = plan_of([Output("out", "w", interpolated)], [])
    once = a.spec.nbytes + b.spec.nbytes
    assert make_schedule(plan, budget=16 * MIB).read_nbytes == 2 * once
    assert make_schedule(plan, budget=256 * MIB).read_nbytes == once


@op(infer=lambda dots: Spec((2,), "float64"))
def first_pair(dots):
    """Two coefficients."""
    return dots[0] / dots.sum()


def test_a_whole_op_that_cannot_fit_names_the_tensor_and_the_budget_it_takes():
    plan = plan_of([Output("out", "layers.0.weight", sorted_whole(tensor_task(1, 3000, 1000)))], [])
    with pytest.raises(MergeGraphError, match=r"layers\.0\.weight.*allow it --memory \d+MiB"):
        make_schedule(plan, budget=8 * MIB)


def test_the_budget_that_an_error_names_is_enough():
    plan = plan_of([Output("out", "w", sorted_whole(tensor_task(1, 3000, 1000)))], [])
    with pytest.raises(MergeGraphError) as error:
        make_schedule(plan, budget=8 * MIB)
    enough = int(str(error.value).rpartition("--memory ")[2].removesuffix("MiB"))
    make_schedule(plan, budget=enough * MIB)


def test_what_is_done_already_is_left_out():
    a = tensor_task(1, 4)
    plan = plan_of([Output("out", "w", ops.scale(a, factor=2.0))], [])
    schedule = make_schedule(plan, budget=64 * MIB, done={("out", "w")})
    assert schedule.units == ()


def test_vectors_of_other_lengths_stay_whole_rows():
    """
    v ─▶ reversed ─▶ shorter ─▶ reversed ─▶ longer
    """
    v = tensor_task(1, 7)
    shorter = crop(reversed_rows(v), rows=4)
    again = reversed_rows(shorter)
    outputs = [shorter, extend(again, v), ops.absolute_sums(again)]
    plan = plan_of([Output("out", f"t{i}", task) for i, task in enumerate(outputs)], [])
    _, (cut, longer, _sums) = run(plan, 64 * MIB)
    values = v.numbers["entry"].tensor
    assert cut.equal(values.flip(0)[:4])
    assert longer.equal(torch.cat([values[3:], values[4:]]))
