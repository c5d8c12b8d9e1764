"""Rows put elsewhere."""

from __future__ import annotations

import pytest
import torch

from mergegraph.ops.gathering import gather, mean_row, only_rows, put_rows
from mergegraph.rowmap import RowMap
from mergegraph.testing import check_op, small


def test_gathered_rows_are_those_of_the_map(task_of, whole):
    task = gather(task_of([[1, 2], [3, 4], [5, 6]]), rows=RowMap.of_rows([2, -1, 0, 1], of=3))
    assert whole(task).tolist() == [[5, 6], [0, 0], [1, 2], [3, 4]]


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
def test_a_vector_has_rows_of_one_entry(task_of, whole, shape):
    task = gather(task_of(torch.tensor([1.0, 2, 3]).reshape(shape)), rows=RowMap.of_rows([2, 0], 3))
    assert whole(task).tolist() == ([3, 1] if len(shape) == 1 else [[3, 1]])


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 100])
def test_the_mean_does_not_depend_on_strips(task_of, in_strips, step):
    tensor = torch.arange(12.0).reshape(4, 3)
    found = in_strips(mean_row(task_of(tensor), width=3, of=4), step)
    assert found.tolist() == [4.5, 5.5, 6.5]


def test_rows_are_put_where_a_map_names_them(task_of, whole):
    rows = RowMap.of_rows([-1, 0, 0, -1], of=1)
    row = mean_row(task_of([[1, 2], [3, 4]]), width=2, of=2)
    task = put_rows(task_of([[1, 1], [0, 0], [0, 0], [4, 4]]), row, rows=rows)
    assert whole(task).tolist() == [[1, 1], [2, 3], [2, 3], [4, 4]]


def test_ops_keep_their_word():
    rows = RowMap.of_rows([3, -1, 0, 1, 2, -1, -1], of=4)
    check_op(gather, torch.randn(4, 6), rows=rows)
    check_op(mean_row, torch.randn(4, 6), width=6, of=4)
    check_op(only_rows, torch.randn(7, 6), rows=rows, width=6)
    few = small(torch.randn(4, 6, dtype=torch.float64))
    check_op(put_rows, torch.randn(7, 6), few, rows=rows)
