"""Low-rank factors of tensors seen in strips, against the singular value decomposition."""

from __future__ import annotations

import pytest
import torch

from mergegraph import strips
from mergegraph.errors import RunError
from mergegraph.ops import sketch
from mergegraph.testing import check_op, constant, evaluate, small
from mergegraph.testing.evaluation import strips_of

DECAYS = (0.0, 0.1, 0.5, 1.0)
SHAPES = ((700, 500), (500, 700), (40, 60), (900, 20), (20, 900), (64, 8, 3, 3))


def falling(shape, decay, seed=0):
    """A tensor whose singular values fall as powers."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(shape, generator=generator).flatten(1).double()
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = torch.arange(1, len(values) + 1).double() ** -decay
    return ((left * values) @ right).float().reshape(shape), values


def product(tensor, rank, **options):
    """L·R of a tensor."""
    delta = constant(tensor)
    found = sketch.sketch(delta, rank=rank, seed=3)
    left, right = sketch.factors(delta, found, rank=rank, dtype="float32", **options)
    left = sketch.laid_out(left, shape=left.spec.shape, dtype="float32")
    return evaluate(left) @ evaluate(right)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_error_is_that_of_the_best_factors_there_are(shape, decay):
    tensor, values = falling(shape, decay)
    rank = min(12, len(values) - 1)
    best = values[rank:].square().sum().sqrt()
    error = (tensor.flatten(1) - product(tensor, rank)).norm()
    assert error <= 1.02 * best


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (300, 290)])
def test_all_directions_are_the_tensor_itself(shape):
    tensor, _ = falling(shape, 0.5)
    torch.testing.assert_close(product(tensor, min(shape)), tensor, atol=1e-6, rtol=0)


def test_singular_values_are_those_of_the_decomposition():
    tensor, values = falling((90, 50), 0.5)
    found = sketch.singular_values(*sketch.sketch(constant(tensor), rank=4, seed=0))
    torch.testing.assert_close(evaluate(found), values, atol=1e-6, rtol=0)


def test_what_is_beyond_the_directions_is_zero():
    thin = torch.zeros(30, 40)
    thin[3, 5], thin[7, 9] = 4.0, 2.0
    delta = constant(thin)
    found = sketch.sketch(delta, rank=6, seed=0)
    left, right = sketch.factors(delta, found, rank=50, dtype="float32")
    assert right.spec.shape == (50, 40)
    assert not evaluate(right)[2:].any()
    torch.testing.assert_close(evaluate(left) @ evaluate(right), thin, atol=1e-5, rtol=0)


def test_of_zeros_there_are_zeros():
    assert not product(torch.zeros(30, 40), 3).any()


def test_the_second_factor_may_have_the_singular_values_alone():
    tensor, values = falling((60, 50), 0.5)
    delta = constant(tensor)
    found = sketch.sketch(delta, rank=5, seed=0)
    left, right = sketch.factors(delta, found, rank=5, dtype="float32", is_even=False)
    torch.testing.assert_close(evaluate(right).norm(dim=1).double(), values[:5], atol=1e-5, rtol=0)
    torch.testing.assert_close(evaluate(left).norm(dim=0), torch.ones(5), atol=1e-5, rtol=0)


def test_the_first_factor_makes_up_for_the_rounding_of_the_second():
    tensor, _ = falling((80, 60), 0.0)
    delta = constant(tensor)
    left, right = sketch.factors(
        delta, sketch.sketch(delta, rank=60, seed=0), rank=60, dtype="bfloat16"
    )
    error = (evaluate(left) @ evaluate(right).float() - tensor).norm() / tensor.norm()
    assert error < 1e-5


def test_bytes_are_the_same_for_any_budget_and_threads():
    tensor, _ = falling((300, 400), 0.3)
    delta = constant(tensor)
    with strips_of(4000):
        found = sketch.sketch(delta, rank=4, seed=1)
        task = sketch.factors(delta, found, rank=4, dtype="float32")[0]
        first = evaluate(task)
        assert torch.equal(first, evaluate(task, threads=2))
        assert torch.equal(first, evaluate(task, budget=2**21))


def test_no_whole_tensor_is_in_memory():
    """Two matrices of 64 MiB in a budget of 24."""
    rows = [constant(torch.ones(4096, 4096).mul_(each)) for each in (1.0, 2.0)]
    from mergegraph.ops import delta

    found = sketch.sketch(delta(*rows), rank=8, seed=0)
    values = evaluate(sketch.singular_values(*found), budget=24 * 2**20)
    assert values[0].item() == pytest.approx(4096)


def test_rows_longer_than_a_strip_cannot_be_sketched():
    assert not sketch.can_sketch(constant(torch.zeros(1, strips.STRIP + 1)).spec)
    assert not sketch.can_sketch(constant(torch.zeros(5)).spec)


def test_nan_is_told_of():
    with pytest.raises(RunError, match="NaN or infinite"):
        product(torch.full((30, 20), float("nan")), 2)


def test_folds_of_whole_rows_add_up_however_many_there_are():
    tensor = torch.randn(70, 30).double()
    basis = torch.randn(30, 4).double()
    delta, small_basis = constant(tensor.float()), small(basis)
    wanted = tensor.float().double().T @ (tensor.float().double() @ basis)
    for entries in (30, 100, 1000):
        with strips_of(entries):
            turned = evaluate(
                sketch.laid_out(
                    sketch._turn(delta, small_basis, row=30), shape=(30, 4), dtype="float64"
                )
            )
            torch.testing.assert_close(turned, wanted)
            drawn = sketch._draw(delta, row=30, count=4, seed=1)
            found = evaluate(sketch.laid_out(drawn, shape=(30, 4), dtype="float64"))
        with strips_of(10_000):
            again = evaluate(sketch.laid_out(drawn, shape=(30, 4), dtype="float64"))
        torch.testing.assert_close(found, again)


def test_ops_keep_their_word():
    basis = small(torch.linalg.qr(torch.randn(20, 5).double())[0])
    check_op(sketch._dual, small(torch.randn(5, 20)))
    check_op(sketch._orthonormal, small(torch.randn(20, 5).double()))
    check_op(sketch._right, basis, basis, rank=3, dtype="float32", is_even=True)
    check_op(sketch.singular_values, basis, basis)
    check_op(sketch.laid_out, small(torch.randn(5, 4)), shape=(4, 5), dtype="float16", turned=True)
