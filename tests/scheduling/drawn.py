"""Random plans: tasks of every cut on top of one another."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from mergegraph import MergeGraphError, Spec, op, ops
from mergegraph.files.reading import MemoryEntry
from mergegraph.findings import Check
from mergegraph.ops.arithmetic import crop, extend, load
from mergegraph.ops.folds import count_nonfinite
from mergegraph.ops.order import prune_by_magnitude
from mergegraph.plans import Output, plan_of
from mergegraph.scheduling.schedule import make_schedule

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


@op(copies=2)
def scaled_whole(tensor, factor):
    """The tensor times a small one's only entry, all at once."""
    return tensor * factor.item()


@op(infer=lambda sums: Spec((1,), "float64"))
def first_of(sums):
    """The first of a few numbers, made harmless as a factor."""
    return sums[:1] / (1 + sums[:1])


def tensor_task(seed, *shape):
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return load(entry=MemoryEntry(tensor, Spec(tuple(shape), "float32"), f"{seed}{shape}"))


def drawn_plan(data):
    """A random plan: a few shapes, tasks of every cut on top of one another, and checks."""
    shapes = data.draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=2))
    pools = [[tensor_task(10 * i + j, *shape) for j in range(2)] for i, shape in enumerate(shapes)]
    checks = []
    for _ in range(data.draw(st.integers(1, 9))):
        pool = data.draw(st.sampled_from(pools))
        first, second = (data.draw(st.sampled_from(pool)) for _ in range(2))
        kind = data.draw(st.integers(0, 8))
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
        elif kind == 5:
            checks.append(Check(count_nonfinite(first), "not finite", is_fatal=True))
        elif kind == 8:
            pool.append(scaled_whole(first, first_of(ops.absolute_sums(second))))
        elif kind == 6 and first.spec.shape:
            shorter = crop(first, rows=-(-first.spec.shape[0] // 2))
            pools.append([shorter])
            pool.append(extend(shorter, second))
        else:
            pool.append(ops.average(first, second, weights=(0.3, 0.7)))
    return plan_of(
        [
            Output("out", f"t{i}{j}", task)
            for i, pool in enumerate(pools)
            for j, task in enumerate(pool)
        ],
        checks,
    )


def feasible(plan, threads=1, **given):
    """The schedules for every budget that is large enough."""
    for budget in BUDGETS:
        try:
            yield make_schedule(plan, budget=budget, threads=threads, **given)
        except MergeGraphError:
            continue
