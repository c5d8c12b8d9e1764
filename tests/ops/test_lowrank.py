"""Factors of low rank: joined, cut, and found in matrices."""

from __future__ import annotations

import pytest
import torch

from mergegraph import Factors, MergeGraphError
from mergegraph.ops import join_factors
from mergegraph.ops.lowrank import _compress, _decompose, beside, cut_to_rank, factors_of, spectrum
from mergegraph.testing import check_op, constant, evaluate, small


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def factors(rows: int, rank: int, columns: int, seed: int = 0) -> Factors:
    return Factors(
        small(numbers(rows, rank, seed=seed)), small(numbers(rank, columns, seed=seed + 1))
    )


def product(made: Factors) -> torch.Tensor:
    return evaluate(made.left).double() @ evaluate(made.right).double()


def truncated(matrix: torch.Tensor, rank: int) -> torch.Tensor:
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    return left[:, :rank] * values[:rank] @ right[:rank]


def test_ops_keep_their_word():
    left, right = small(numbers(9, 4)), small(numbers(4, 7, seed=1))
    check_op(beside, left, small(numbers(9, 2)), axis=1)
    check_op(_compress, left, right, rank=2)
    check_op(spectrum, left, right)
    check_op(_decompose, numbers(60, 50), rank=2)
    check_op(_decompose, numbers(6, 5), rank=4)


def test_joined_factors_are_the_weighted_sum():
    models = [factors(9, rank, 7, seed=rank) for rank in (2, 3, 5)]
    joined = join_factors(models, weights=[0.5, 1.0, -2.0])
    wanted = sum(w * product(m) for w, m in zip([0.5, 1.0, -2.0], models, strict=True))
    assert joined.rank == 10
    torch.testing.assert_close(product(joined), wanted, rtol=1e-5, atol=1e-5)


def test_factors_of_different_shapes_are_not_joined():
    with pytest.raises(MergeGraphError, match="shapes differ"):
        join_factors([factors(9, 2, 7), factors(9, 2, 8)], weights=[1, 1])


@pytest.mark.parametrize(("shape", "rank"), [((30, 6, 20), 3), ((5, 9, 20), 5), ((20, 9, 5), 2)])
def test_a_cut_keeps_the_largest_singular_values(shape, rank):
    made = factors(*shape)
    wanted = truncated(product(made), rank)
    torch.testing.assert_close(product(cut_to_rank(made, rank)), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 30), (200, 300), (300, 100)])
def test_factors_of_a_matrix_of_low_rank_are_exact(shape):
    matrix = numbers(shape[0], 3) @ numbers(3, shape[1], seed=1)
    found = product(factors_of(constant(matrix), 3))
    torch.testing.assert_close(found, matrix.double(), rtol=1e-4, atol=1e-4)


def test_followed_directions_come_close_to_the_best_ones():
    matrix = numbers(300, 400)
    found = product(factors_of(constant(matrix), 8))
    best = (matrix.double() - truncated(matrix.double(), 8)).norm()
    assert (matrix.double() - found).norm() < 1.001 * best


def test_a_matrix_without_numbers_is_refused():
    matrix = numbers(4, 4)
    matrix[1, 1] = float("nan")
    with pytest.raises(MergeGraphError, match="has no directions"):
        evaluate(factors_of(constant(matrix), 2).left)
