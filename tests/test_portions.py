"""Portions: what has an input in common stays together, everything else apart."""

from __future__ import annotations

from mergegraph import Spec, ops
from mergegraph.files.reading import MemoryEntry
from mergegraph.findings import Check
from mergegraph.ops.arithmetic import load
from mergegraph.ops.folds import count_different, count_nonfinite
from mergegraph.portions import divide
from mergegraph.tasks import walk

A, B, C, D = (load(entry=MemoryEntry(None, Spec((4,), "float32"), name)) for name in "abcd")


def outputs_of(roots, checks=()):
    portions, _ = divide(roots, checks)
    return [portion.outputs for portion in portions]


def check(task):
    return Check(task, "", is_fatal=True)


def test_outputs_that_share_an_input_share_a_portion():
    roots = [ops.scale(A, factor=2.0), ops.scale(B, factor=2.0), ops.delta(C, A)]
    assert outputs_of(roots) == [(0, 2), (1,)]


def test_portions_that_a_later_output_joins_are_one():
    assert outputs_of([A, B, C, ops.delta(C, A)]) == [(0, 2, 3), (1,)]


def test_a_check_of_two_outputs_joins_them():
    assert outputs_of([A, B], [check(count_different(A, B))]) == [(0, 1)]


def test_equal_tasks_are_in_one_portion_once():
    (portion,), _ = divide([ops.delta(A, B), ops.delta(A, B)], [])
    assert portion.tasks == tuple(walk(ops.delta(A, B)))


def test_inputs_stand_before_users_and_checks_after_what_they_look_at():
    root = ops.delta(ops.scale(A, factor=2.0), B)
    (portion,), due = divide([root], [check(count_nonfinite(root))])
    assert portion.tasks == (*walk(root), due[0].task)


def test_what_no_output_stands_on_is_not_checked():
    _, due = divide([A], [check(count_nonfinite(D))])
    assert due == ()
