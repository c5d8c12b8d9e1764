"""Folds: the same numbers however a tensor is cut, in double precision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mergegraph.ops import absolute_sums, gram
from mergegraph.ops.folds import count_different, count_nonfinite, sign_conflicts
from mergegraph.ops.order import high_histogram

NAN = float("nan")


@given(data=st.data(), step=st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_a_gram_matrix_holds_all_dot_products(data, step, draw_family, task_of, whole, in_strips):
    _, models = draw_family(data)
    flat = torch.stack(models).double().reshape(len(models), models[0].numel())
    wanted = flat @ flat.T
    task = gram(*map(task_of, models))
    torch.testing.assert_close(whole(task), wanted)
    torch.testing.assert_close(in_strips(task, step), wanted)


def test_dot_products_do_not_lose_what_is_small(task_of, whole):
    """In float32, 1e8 + 1 is 1e8."""
    assert whole(gram(task_of([1e4, 1.0]))).item() == 1e8 + 1


@given(data=st.data(), step=st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_sums_of_magnitudes_do_not_depend_on_strips(
    data, step, draw_family, task_of, whole, in_strips
):
    _, models = draw_family(data)
    wanted = torch.tensor([each.double().abs().sum() for each in models])
    task = absolute_sums(*map(task_of, models))
    torch.testing.assert_close(whole(task), wanted)
    torch.testing.assert_close(in_strips(task, step), wanted)


FLOATS = ["float64", "float32", "float16", "bfloat16", "float8_e5m2"]


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_entry_that_is_not_finite_is_counted(dtype, task_of, whole, in_strips):
    values = torch.tensor([1.0, NAN, float("inf"), 0.0, -float("inf"), 2.0])
    task = count_nonfinite(task_of(values.to(getattr(torch, dtype))))
    assert whole(task).tolist() == [3]
    assert in_strips(task, 2).tolist() == [3]


@pytest.mark.parametrize("dtype", [*FLOATS, "float8_e4m3fn"])
def test_of_finite_entries_none_is_counted(dtype, task_of, whole):
    values = torch.tensor([1.0, -0.0, 1e-3, 400.0]).to(getattr(torch, dtype))
    assert whole(count_nonfinite(task_of(values))).tolist() == [0]


def test_nan_of_the_dtype_without_infinity_is_counted(task_of, whole):
    values = torch.tensor([1.0, NAN]).to(torch.float8_e4m3fn)
    assert whole(count_nonfinite(task_of(values))).tolist() == [1]


def test_the_largest_numbers_are_finite(task_of, whole):
    values = torch.tensor([torch.finfo(torch.float64).max], dtype=torch.float64)
    assert whole(count_nonfinite(task_of(values))).tolist() == [0]
    values = torch.full((9,), torch.finfo(torch.float32).max)
    assert whole(count_nonfinite(task_of(values))).tolist() == [0]


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8", "uint16", "uint64", "bool", "float32"])
def test_positions_where_any_differs_are_counted_once(dtype, task_of, whole, in_strips):
    rows = torch.tensor([[1, 0, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0]]).to(getattr(torch, dtype))
    task = count_different(*map(task_of, rows))
    assert whole(task).tolist() == [2]
    assert in_strips(task, 3).tolist() == [2]


def test_a_histogram_counts_every_entry_once(task_of, whole):
    delta = torch.tensor([0.0, -0.0, 1.0, -1.0, NAN, float("inf"), 1e-45])
    assert whole(high_histogram(task_of(delta))).sum() == 7


@given(data=st.data(), step=st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_sign_conflicts_are_counted_whatever_the_strips(
    data, step, draw_family, task_of, whole, in_strips
):
    _, models = draw_family(data)
    flat = torch.stack([each.flatten() for each in models])
    conflicts = ((flat > 0).any(0) & (flat < 0).any(0)).sum().item()
    contested = ((flat != 0).sum(0) > 1).sum().item()
    task = sign_conflicts(*map(task_of, models))
    assert whole(task).tolist() == [conflicts, contested]
    assert in_strips(task, step).tolist() == [conflicts, contested]


def test_conflicts_of_very_many_models_are_counted(task_of, whole):
    many = [task_of([1.0, float(i % 2)]) for i in range(300)]
    assert whole(sign_conflicts(*many)).tolist() == [0, 2]
