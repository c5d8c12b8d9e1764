"""Schedules: laws that every plan keeps, whatever the budget."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mergegraph import MergeGraphError, Spec, op, ops, strips
from mergegraph.execute import execute
from mergegraph.memory import TensorSink
from mergegraph.ops.arithmetic import load
from mergegraph.ops.order import prune_by_magnitude
from mergegraph.plans import Output, plan_of
from mergegraph.reading import MemoryEntry
from mergegraph.schedule import make_schedule

MIB = 2**20
SHAPES = [(), (7,), (3, 5), (2, 50), (300, 700), (2, 90_000), (150_000,)]
BUDGETS = [each * MIB for each in (3, 4, 5, 6, 8, 12, 16, 24, 48, 256)]


@op(cut="rowwise", copies=3)
def reversed_rows(tensor):
    """Turn every row around."""
    return tensor.flip(1)


@op(copies=2)
def sorted_whole(tensor):
    """Sort all entries."""
    return tensor.flatten().sort().values.reshape(tensor.shape)


@op(infer=lambda sums: Spec((1,), "float64"))
def first_of(sums):
    """The first of a few numbers, made harmless as a factor."""
    return sums[:1] / (1 + sums[:1])


def tensor_task(seed, *shape):
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return load(entry=MemoryEntry(tensor, Spec(tuple(shape), "float32"), f"{seed}{shape}"))


def drawn_plan(data):
    """A random plan: a few shapes, and tasks of every cut on top of one another."""
    shapes = data.draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=2))
    pools = [[tensor_task(10 * i + j, *shape) for j in range(2)] for i, shape in enumerate(shapes)]
    for _ in range(data.draw(st.integers(1, 9))):
        pool = data.draw(st.sampled_from(pools))
        first, second = (data.draw(st.sampled_from(pool)) for _ in range(2))
        kind = data.draw(st.integers(0, 5))
        if kind == 0:
            pool.append(ops.delta(first, second))
        elif kind == 1:
            pool.append(reversed_rows(first))
        elif kind == 2:
            pool.append(prune_by_magnitude(first, density=0.4))
        elif kind == 3:
            pool.append(sorted_whole(first))
        elif kind == 4:
            # sums over tensors of any shape, as whole-model statistics are
            other = data.draw(st.sampled_from(data.draw(st.sampled_from(pools))))
            pool.append(ops.scale_by(first, first_of(ops.absolute_sums(other))))
        else:
            pool.append(ops.average(first, second, weights=(0.3, 0.7)))
    return plan_of(
        [
            Output("out", f"t{i}{j}", task)
            for i, pool in enumerate(pools)
            for j, task in enumerate(pool)
        ],
        [],
    )


def run(plan, budget, threads=1):
    schedule = make_schedule(plan, budget=budget, threads=threads)
    sinks = [TensorSink(each.task.spec) for each in schedule.outputs]
    execute(schedule, sinks)
    return schedule, [sink.tensor for sink in sinks]


@pytest.fixture
def small_strips(monkeypatch):
    monkeypatch.setattr(strips, "STRIP", 16 * 1024)


def feasible(plan, threads=1):
    """The schedules for every budget that is large enough."""
    for budget in BUDGETS:
        try:
            yield make_schedule(plan, budget=budget, threads=threads)
        except MergeGraphError:
            continue


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
    reads = [schedule.read_nbytes for schedule in feasible(plan)]
    assert reads == sorted(reads, reverse=True)


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
