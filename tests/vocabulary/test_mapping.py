"""Rows of tensors that are made of others: made of their rows where that comes to the same."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mergegraph.ops.arithmetic import average, cast, delta
from mergegraph.ops.fusion import fuse
from mergegraph.ops.gathering import gather
from mergegraph.ops.order import prune_by_magnitude
from mergegraph.ops.pruning import prune_at_random
from mergegraph.rowmap import RowMap
from mergegraph.tasks import walk
from mergegraph.vocabulary.mapping import mapped_rows

MADE = {
    "average": lambda a, b: average(a, b, weights=(1.0, 2.0)),
    "delta": lambda a, b: delta(cast(a, "float32"), cast(cast(b, "bfloat16"), "float32")),
    "trimmed": lambda a, b: fuse(a, prune_by_magnitude(delta(b, a), density=0.5), weights=(1.0,)),
    "random": lambda a, b: fuse(
        a, prune_at_random(delta(b, a), density=0.5, seed=3, rescale=True), weights=(1.0,)
    ),
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
@settings(deadline=None, max_examples=30)
@given(rows=st.lists(st.integers(-1, 4), min_size=1, max_size=9))
def test_rows_are_those_of_the_whole(task_of, whole, made, rows):
    a, b = (torch.randn(5, 70, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    task = made(task_of(a), task_of(b))
    tensor = whole(task)
    expected = [tensor[row] if row >= 0 else torch.zeros(70) for row in rows]
    found = mapped_rows(task, RowMap.of_rows(rows, of=5))
    assert torch.equal(whole(found), torch.stack(expected))


def test_what_depends_on_places_is_gathered_when_it_is_made(task_of):
    tensors = (task_of(torch.randn(5, 70)) for _ in range(2))
    tasks = walk(mapped_rows(MADE["random"](*tensors), RowMap.of_rows([1, 0], of=5)))
    (found,) = [task for task in tasks if task.op is gather and task.inputs[0].inputs]
    assert "random" in found.inputs[0].op.name
