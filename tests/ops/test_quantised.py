"""Scales for blocks of entries: applied, found, and both together."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mergegraph import MergeGraphError
from mergegraph.ops.quantised import (
    as_small,
    dequantise,
    quantise,
    scales_for,
)
from mergegraph.testing import constant, small
from mergegraph.testing.kernels import check_tasks

E4M3 = torch.float8_e4m3fn


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def spread(scales, shape, block):
    """The scales of blocks for each entry, by indices alone."""
    rows, columns = (torch.arange(size) // of for size, of in zip(shape[-2:], block, strict=True))
    return scales[..., rows[:, None], columns[None, :]]


def grid(shape, block):
    return (*shape[:-2], -(-shape[-2] // block[0]), -(-shape[-1] // block[1]))


SHAPES = [(6, 8), (5, 7), (1, 9), (9, 1), (3, 6, 8), (2, 2, 5, 7), (0, 4)]
BLOCKS = [(2, 4), (3, 3), (1, 8), (1, 2), (128, 128), (6, 1)]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_entry_is_multiplied_by_its_blocks_scale(whole, in_strips, shape, block):
    weights = drawn(*shape).to(E4M3)
    scales = drawn(*grid(shape, block), seed=1)
    wanted = weights.float() * spread(scales, shape, block)
    task = dequantise(constant(weights), constant(scales), block=block)
    assert whole(task).equal(wanted)
    for step in (1, 5, 16):
        assert in_strips(task, step).equal(wanted)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("shape", SHAPES[:-1])
def test_scales_are_those_of_the_largest_entries(whole, in_strips, shape, block):
    weights = drawn(*shape)
    wanted = torch.zeros(grid(shape, block))
    for place in range(weights.numel()):
        at = torch.unravel_index(torch.tensor(place), shape)
        own = (*at[:-2], at[-2] // block[0], at[-1] // block[1])
        wanted[own] = torch.maximum(wanted[own], weights[at].abs())
    task = scales_for(constant(weights), block=block, dtype="float8_e4m3fn")
    assert whole(task).equal(wanted / 448)
    for step in (1, 5, 16):
        assert in_strips(task, step).equal(wanted / 448)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_what_is_quantised_is_near_to_what_it_was(whole, dtype):
    weights = drawn(40, 50)
    task = constant(weights)
    scales = scales_for(task, block=(16, 16), dtype=dtype)
    codes = quantise(task, scales, block=(16, 16), dtype=dtype)
    found = whole(dequantise(codes, scales, block=(16, 16)))
    step = {"float8_e4m3fn": 2**-4, "float8_e5m2": 2**-3}[dtype]
    smallest = spread(whole(scales), (40, 50), (16, 16)) * 2**-9
    assert ((found - weights).abs() <= (weights.abs() * step).maximum(smallest)).all()


def test_zeros_stay_zeros(whole):
    task = constant(torch.zeros(4, 4))
    scales = scales_for(task, block=(2, 2), dtype="float8_e4m3fn")
    assert whole(scales).tolist() == [[1, 1], [1, 1]]
    assert not whole(quantise(task, scales, block=(2, 2), dtype="float8_e4m3fn")).float().any()


def test_numbers_too_small_for_scales_are_rounded_to_zero(whole):
    task = constant(torch.full((2, 2), 1e-44))
    scales = scales_for(task, block=(2, 2), dtype="float8_e4m3fn")
    assert (
        whole(quantise(task, scales, block=(2, 2), dtype="float8_e4m3fn")).float().isfinite().all()
    )


def test_what_is_not_finite_spoils_no_other_entry(whole):
    task = constant(torch.tensor([[1.0, float("inf")], [float("nan"), -2.0]]))
    scales = scales_for(task, block=(2, 2), dtype="float8_e4m3fn")
    codes = quantise(task, scales, block=(2, 2), dtype="float8_e4m3fn")
    found = whole(dequantise(codes, scales, block=(2, 2)))
    assert found.isfinite().tolist() == [[True, False], [False, True]]
    assert found[1, 1] == -2


def test_zeros_are_subtracted_before_scaling(whole):
    codes = torch.arange(12, dtype=torch.uint8).reshape(3, 4)
    zeros, scales = torch.full((3, 2), 5.0), torch.full((3, 2), 0.5)
    task = dequantise(constant(codes), constant(scales), constant(zeros), block=(1, 2))
    assert whole(task).equal((codes.float() - 5) / 2)


def test_codes_may_stand_for_the_numbers_of_a_table(whole):
    codes = torch.tensor([[0, 2, 1]], dtype=torch.uint8)
    task = dequantise(
        constant(codes), constant(torch.full((1,), 2.0)), block=(None, None), table=(1, 2, 3)
    )
    assert whole(task).tolist() == [[2, 6, 4]]


def test_scales_in_bytes_are_exponents(whole):
    exponents = torch.tensor([[127, 130, 0]], dtype=torch.uint8)
    task = dequantise(constant(torch.ones(1, 3)), constant(exponents), block=(1, 1))
    assert whole(task).tolist() == [[1, 8, 2**-127]]


def test_scales_that_do_not_fit_are_refused():
    with pytest.raises(MergeGraphError, match=r"do not fit .* blocks of 2×2 need \(1, 2, 2\)"):
        dequantise(constant(torch.ones(4, 4)), constant(torch.ones(3)), block=(2, 2))


def test_what_is_small_already_stays_so():
    task = small(torch.ones(3))
    assert as_small(task) is task


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4))
def test_ops_keep_their_word(rows, columns, down, across):
    weights, block = constant(drawn(rows, columns)), (down, across)
    scales = scales_for(weights, block=block, dtype="float8_e4m3fn")
    codes = quantise(weights, scales, block=block, dtype="float8_e4m3fn")
    check_tasks([dequantise(codes, scales, block=block)], set())


def test_runs_give_the_same_bytes_for_any_budget_and_threads(executed):
    weights = constant(drawn(700, 900))
    scales = scales_for(weights, block=(128, 128), dtype="float8_e4m3fn")
    codes = quantise(weights, scales, block=(128, 128), dtype="float8_e4m3fn")
    task = dequantise(codes, scales, block=(128, 128))
    wanted = executed(task)
    assert executed(task, budget=8 * 2**20, threads=2).equal(wanted)
