"""Electing signs and fusing: worked out entry by entry."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mergegraph.ops import elect, fuse, fuse_elected

DELTAS = ([3.0, -1.0, 0.0, 2.0], [-1.0, -1.0, 0.0, -2.0], [-1.0, 5.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("by", "signs"), [("sum", [1, 1, 1, 1]), ("count", [-1, -1, 1, 1]), ("max", [1, 1, 1, 1])]
)
def test_signs_are_elected(by, signs, task_of, whole):
    assert whole(elect(*map(task_of, DELTAS), weights=(1, 1, 1), by=by)).tolist() == signs


@pytest.mark.parametrize("by", ["sum", "count", "max"])
def test_a_negative_weight_turns_a_vote(by, task_of, whole):
    assert whole(elect(task_of([2.0, -2.0]), weights=(-1.0,), by=by)).tolist() == [-1, 1]


@pytest.mark.parametrize("by", ["sum", "count", "max"])
def test_a_weight_of_zero_is_no_vote(by, task_of, whole):
    found = whole(elect(task_of([-9.0]), task_of([0.1]), weights=(0.0, 1.0), by=by))
    assert found.tolist() == [1]


def test_equal_magnitudes_go_by_the_first_model(task_of, whole):
    pair = task_of([1.0, -1.0]), task_of([-1.0, 1.0])
    assert whole(elect(*pair, weights=(1.0, 1.0), by="max")).tolist() == [1, -1]


@given(weight=st.floats(0.001, 10), value=st.floats(0.125, 1000, width=32))
@settings(max_examples=60, deadline=None)
def test_opposite_entries_are_a_draw_at_any_weight(weight, value, task_of, whole):
    """A fused multiply-add would leave a rounding error to decide."""
    pair = task_of([value, -value] * 9), task_of([-value, value] * 9)
    for by in ("sum", "count"):
        assert whole(elect(*pair, weights=(weight, weight), by=by)).tolist() == [1] * 18


def test_a_mean_is_over_those_who_agree(task_of, whole):
    base, signs = task_of([10.0] * 4), task_of([1.0, -1.0, 1.0, -1.0])
    task = fuse_elected(base, signs, *map(task_of, DELTAS), weights=(1.0, 2.0, 1.0))
    assert whole(task).tolist() == [13, 9, 10, 8]


def test_without_normalization_those_who_agree_are_summed(task_of, whole):
    base, signs = task_of([0.0] * 4), task_of([-1.0, -1.0, 1.0, 1.0])
    numbers = {"weights": (1.0, 2.0, 1.0), "normalize": False, "scale": 0.5}
    task = fuse_elected(base, signs, *map(task_of, DELTAS), **numbers)
    assert whole(task).tolist() == [-1.5, -1.5, 0, 1]


@pytest.mark.parametrize("weights", [(1.0, -1.0), (0.7, 0.1, -0.8), (0.1, 0.2, -0.3)])
def test_weights_that_cancel_are_not_divided_by(weights, task_of, whole):
    """Agreeing weights add up to zero, or to what rounding leaves of zero."""
    deltas = [torch.full((5,), 1.0 if weight > 0 else -1.0) for weight in weights]
    base, signs = task_of(torch.zeros(5)), task_of(torch.ones(5))
    found = whole(fuse_elected(base, signs, *map(task_of, deltas), weights=weights))
    torch.testing.assert_close(found, torch.full((5,), sum(map(abs, weights))))


def test_small_weights_of_one_sign_are_divided_by(task_of, whole):
    base, signs = task_of([0.0]), task_of([1.0])
    deltas = task_of([2.0]), task_of([4.0])
    found = whole(fuse_elected(base, signs, *deltas, weights=(1e-9, 1e-9)))
    torch.testing.assert_close(found, torch.tensor([3.0]))


def test_fusing_adds_a_weighted_sum_to_the_base(task_of, whole):
    task = fuse(task_of([1.0] * 4), *map(task_of, DELTAS), weights=(1.0, -1.0, 2.0), scale=0.5)
    assert whole(task).tolist() == [2, 6, 1, 3]


def test_fusing_can_divide_by_the_weights(task_of, whole):
    deltas = task_of([8.0]), task_of([0.0])
    found = whole(fuse(task_of([1.0]), *deltas, weights=(1.0, 3.0), normalize=True, scale=2.0))
    assert found.tolist() == [5]
