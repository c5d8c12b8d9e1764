"""What kernels give is looked at before it is written or kept."""

from __future__ import annotations

import sys

import pytest
import torch
from mergegraph_methods.ties import ties

import mergegraph
from mergegraph import Spec, op
from mergegraph.errors import RunError
from mergegraph.running.store import Store


@op(cut="pointwise")
def widening(tensor):
    return tensor.double()


@op(copies=1)
def shortening(tensor):
    return tensor.reshape(-1)[:2].clone()


@op(cut="fold", infer=lambda _tensor: Spec((1,), "float64"))
def folded_to_two(tensor):
    return tensor.new_zeros(2, dtype=torch.float64)


@op(cut="pointwise", infer=lambda tensor: tensor)
def counted(tensor):
    return tensor.numel()


@op(copies=1, infer=lambda tensor: tensor)
def counted_whole(tensor):
    return tensor.numel()


@op(cut="pointwise", infer=lambda tensor: tensor)
def leaving(tensor):
    sys.exit(3)


@op(cut="pointwise", infer=lambda tensor, _factor: tensor)
def times(tensor, factor):
    return tensor * factor.sum().item()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (widening, r"^value: .*widening: gave 6 entries of float64 for a strip of 6 of float32"),
        (shortening, r"shortening: gave float32\[2\] where it was to give float32\[2, 3\]"),
        (lambda task: times(task, folded_to_two(task)), r"two: gave float64\[2\] where .* float64"),
        (counted, r"^value: .*counted: gave int in place of a tensor"),
        (counted_whole, r"counted_whole: gave int in place of a tensor"),
        (leaving, r"^value: .*leaving: SystemExit: 3"),
    ],
)
def test_a_result_that_is_not_what_was_said_stops_the_run(made, told, task_of, executed):
    with pytest.raises(RunError, match=told):
        executed(made(task_of(torch.ones(2, 3))))


def test_spare_room_is_let_go_down_to_a_limit(task_of):
    store = Store()
    tasks = [task_of(torch.full((4,), float(i))) for i in range(3)]
    for task in tasks:
        store.make_room(task)
    rooms = {store[task.key].data_ptr() for task in tasks}
    for task in tasks:
        store.free(task.key)
    store.trim(16)
    for task in tasks:
        store.make_room(task)
    assert len(rooms & {store[task.key].data_ptr() for task in tasks[:1]}) == 1
    assert sum(len(each) for each in store._spare.values()) == 0


def test_models_without_floats_are_copied_though_the_method_looks_at_whole_models():
    base, model = {"n": torch.tensor([1, 2])}, {"n": torch.tensor([1, 3])}
    merged = mergegraph.merge({"a": model}, base=base, method="emr", task=1)
    assert merged["n"].tolist() == [1, 2]


def test_a_method_called_by_itself_has_its_defaults(task_of, whole):
    base, models = task_of([0.0, 0.0]), [task_of([1.0, -1.0]), task_of([3.0, 0.5])]
    assert whole(ties(base, models, weight=[1.0, 1.0])).tolist() == [2, -1]
