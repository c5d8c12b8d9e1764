"""Products of small factors, added to weights, and what goes with them."""

from __future__ import annotations

import pytest
import torch

from mergegraph import MergeGraphError
from mergegraph.ops.products import (
    add_product,
    column_squares,
    factor,
    part,
    put_rows,
    set_column_lengths,
    set_row_lengths,
)
from mergegraph.testing import check_op, constant, evaluate, small
from mergegraph.testing.evaluation import strips_of


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1, 12, 20), (1, 300, 7), (3, 9, 5), (1, 5, 1), (1, 1, 40)])
def test_product_keeps_its_word(shape):
    count, rows, columns = shape
    weight = numbers(*(shape if count > 1 else shape[1:]))
    left, right = numbers(count, rows, 2, seed=1), numbers(count, 2, columns, seed=2)
    check_op(add_product, weight, small(left), small(right), scale=0.5)


@pytest.mark.parametrize("shape", [(1, 700, 300), (4, 40, 60), (1, 3, 200_000)])
def test_product_is_added(shape):
    count, rows, columns = shape
    weight = numbers(*(shape if count > 1 else shape[1:]))
    left, right = numbers(count, rows, 4, seed=1), numbers(count, 4, columns, seed=2)
    task = add_product(constant(weight), small(left), small(right), scale=0.7)
    wanted = weight.double() + 0.7 * (left.double() @ right.double()).reshape(weight.shape)
    torch.testing.assert_close(evaluate(task).double(), wanted, rtol=1e-5, atol=1e-5)
    with strips_of(1000):
        cut_up = evaluate(task, threads=2)
    assert torch.equal(evaluate(task), cut_up)


def test_kernels_of_convolutions_are_rows():
    weight, left, right = numbers(6, 2, 3, 3), numbers(1, 6, 2, seed=1), numbers(1, 2, 18, seed=2)
    found = evaluate(add_product(constant(weight), small(left), small(right), scale=1.0))
    torch.testing.assert_close(found, weight + (left @ right).reshape(weight.shape))


@pytest.mark.parametrize(("left", "right"), [((1, 5, 2), (1, 2, 4)), ((1, 6, 2), (1, 3, 4)),
                                         ((2, 6, 2), (2, 2, 4))])  # fmt: skip
def test_factors_that_do_not_fit_are_refused(left, right):
    given = [constant(numbers(6, 4)), small(numbers(*left)), small(numbers(*right))]
    with pytest.raises(MergeGraphError, match="do not fit"):
        add_product(*given, scale=1.0)


def test_factors_are_brought_into_shape():
    tensor = numbers(6, 4).bfloat16()
    check_op(factor, tensor, shape=(2, 3, 4), order=(0, 2, 1))
    found = evaluate(factor(constant(tensor), shape=(2, 3, 4), order=(0, 2, 1)))
    assert torch.equal(found, tensor.float().reshape(2, 3, 4).transpose(1, 2))


def test_parts_are_taken_out():
    check_op(part, small(numbers(6, 4)), axis=0, first=2, count=3)
    tensor = numbers(6, 4)
    assert torch.equal(evaluate(part(small(tensor), axis=1, first=1, count=2)), tensor[:, 1:3])


@pytest.mark.parametrize("shape", [(12, 20), (40, 3, 2, 2), (1, 9)])
def test_rows_get_their_lengths(shape):
    weight, lengths = numbers(*shape), numbers(shape[0], seed=1)
    check_op(set_row_lengths, weight, small(lengths))
    found = evaluate(set_row_lengths(constant(weight), small(lengths))).reshape(shape[0], -1)
    torch.testing.assert_close(found.norm(dim=1), lengths.abs())


def test_columns_get_their_lengths():
    weight, lengths = numbers(12, 20), numbers(20, seed=1)
    squares = column_squares(constant(weight), columns=20)
    check_op(column_squares, weight, columns=20)
    check_op(set_column_lengths, weight, small(lengths), small(weight.double().square().sum(0)))
    with strips_of(7):
        found = evaluate(set_column_lengths(constant(weight), small(lengths), squares))
    torch.testing.assert_close(found.norm(dim=0), lengths.abs())


def test_zeros_have_no_direction_to_be_lengthened_in():
    lengths = small(torch.ones(3))
    zeros = constant(torch.zeros(3, 3))
    assert not evaluate(set_row_lengths(zeros, lengths)).any()
    squares = column_squares(zeros, columns=3)
    assert not evaluate(set_column_lengths(zeros, lengths, squares)).any()


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(MergeGraphError, match="3 lengths do not fit"):
        set_row_lengths(constant(numbers(4, 3)), small(torch.ones(3)))


def test_rows_are_replaced():
    weight, rows = numbers(30, 5), numbers(2, 5, seed=1)
    check_op(put_rows, weight, small(rows), places=(28, 3))
    found = evaluate(put_rows(constant(weight), small(rows), places=(28, 3)))
    wanted = weight.clone()
    wanted[[28, 3]] = rows
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("places", [(28, 30), (1,)])
def test_rows_that_do_not_fit_are_refused(places):
    with pytest.raises(MergeGraphError, match="row"):
        put_rows(constant(numbers(30, 5)), small(numbers(2, 5)), places=places)
