"""Moments: the sums of the plainest formula, and the same bits however they are come by."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mergegraph.ops.moments import _moments, moments, moments_of
from mergegraph.ops.moments_loop import BLOCK, LANES

DTYPES = ["float32", "bfloat16", "float16"]


def drawn(shape, count, dtype="float32", seed=0):
    """A base and models; some entries are not changed."""
    generator = torch.Generator().manual_seed(seed)
    base, *models = torch.randn(count + 1, *shape, generator=generator)
    for i, each in enumerate(models):
        each.view(-1)[i :: i + 2] = base.view(-1)[i :: i + 2]
    return [each.to(getattr(torch, dtype)) for each in (base, *models)]


def plain(base, *models):
    """The sums of the differences, whole tensors at once."""
    deltas = torch.stack([(each.float() - base.float()).double().flatten() for each in models])
    return deltas, deltas.sign()


def assert_right(value, tensors):
    """Every part of a value is what the plain formula gives."""
    deltas, signs = plain(*tensors)
    found = moments_of(value, len(deltas))
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(found.sums, deltas.sum(1), **close)
    torch.testing.assert_close(found.dots, deltas @ deltas.T, **close)
    assert found.base == pytest.approx(tensors[0].double().square().sum().item(), rel=1e-12)
    assert torch.equal(found.same - found.opposite, signs @ signs.T)
    assert torch.equal(found.same + found.opposite, signs.abs() @ signs.abs().T)


@given(data=st.data(), step=st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_moments_are_those_of_the_plain_formula(data, step, draw_family, task_of, whole, in_strips):
    base, models = draw_family(data)
    tensors = [base, *models]
    task = moments(*map(task_of, tensors))
    assert_right(whole(task), tensors)
    assert_right(in_strips(task, step), tensors)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_any_dtype_and_number_of_models_will_do(dtype, count, task_of, whole):
    tensors = drawn((3, 700), count, dtype)
    assert_right(whole(moments(*map(task_of, tensors))), tensors)


def test_dtypes_may_differ(task_of, whole):
    base, one, two = drawn((50,), 2)
    tensors = [base.bfloat16(), one, two.half()]
    assert_right(whole(moments(*map(task_of, tensors))), tensors)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("entries", [0, 1, LANES + 1, BLOCK - 1, BLOCK, BLOCK + 1, 70_001])
def test_the_compiled_loop_gives_the_same_bits(dtype, entries):
    pytest.importorskip("numba")
    fast = _moments.fast()
    for count in (2, 3):
        tensors = drawn((entries,), count, dtype, seed=entries)
        expected, found = _moments.kernel(*tensors), fast(*tensors)
        assert torch.equal(expected.view(torch.int64), found.view(torch.int64))


def test_small_sums_are_not_lost(task_of, whole):
    """In float32, 1e8 + 1 is 1e8."""
    tensors = [torch.zeros(2), torch.tensor([1e4, 1.0])]
    found = moments_of(whole(moments(*map(task_of, tensors))), 1)
    assert found.dots.item() == 1e8 + 1


def test_an_entry_that_is_no_number_is_seen(task_of, whole):
    tensors = drawn((9,), 2)
    tensors[2][4] = float("nan")
    found = moments_of(whole(moments(*map(task_of, tensors))), 2)
    assert found.dots[0, 0].isfinite()
    assert not found.dots[1, 1].isfinite()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("budget", [2**26, 2**30])
def test_bits_depend_on_no_budget(threads, budget, task_of, executed):
    task = moments(*map(task_of, drawn((400, 1000), 3, "bfloat16")))
    one = executed(task, budget=2**31, threads=1)
    assert torch.equal(one, executed(task, budget=budget, threads=threads))
