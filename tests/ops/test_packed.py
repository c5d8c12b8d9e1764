"""Packed tensors: read in another order, and words taken apart."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mergegraph.ops import delta
from mergegraph.ops.packed import strided, unpack
from mergegraph.testing import constant
from mergegraph.testing.kernels import check_tasks


@given(st.data())
def test_views_are_those_of_torch(whole, in_strips, executed, data):
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    strides = [data.draw(st.integers(0, 7)) for _ in sizes]
    last = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    stored = torch.arange(last + 3, dtype=torch.int32)
    task = strided(constant(stored), sizes, strides, shape=sizes)
    wanted = stored.as_strided(sizes, strides)
    assert whole(task).equal(wanted)
    start = data.draw(st.integers(0, wanted.numel()))
    stop = data.draw(st.integers(start, wanted.numel()))
    assert task.numbers["entry"].read(start, stop).equal(wanted.reshape(-1)[start:stop])


def test_views_larger_than_the_scratch_space_are_read_in_parts(executed):
    stored = torch.randint(0, 256, (3000, 700), dtype=torch.uint8)
    task = strided(constant(stored), (700, 3000), (1, 700), shape=(700, 3000))
    assert executed(task, budget=16 * 2**20, threads=2).equal(stored.T.contiguous())


def test_views_do_not_reach_beyond_what_is_stored():
    with pytest.raises(ValueError, match="no view"):
        strided(constant(torch.zeros(4)), (3,), (2,), shape=(3,))


def test_only_what_is_stored_is_viewed():
    computed = delta(constant(torch.zeros(4)), constant(torch.ones(4)))
    with pytest.raises(TypeError, match="is computed"):
        strided(computed, (4,), (1,), shape=(4,))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_words_are_taken_apart_from_the_lowest_bits(whole, in_strips, bits, dtype):
    per_word = 8 * dtype.itemsize // bits
    numbers = torch.randint(0, 2**bits, (5, 3, per_word))
    words = sum(numbers[..., i] << (bits * i) for i in range(per_word)).to(dtype)
    repeated = strided(constant(words), (5, 3, per_word), (3, 1, 0), shape=(5, 3 * per_word))
    task = unpack(repeated, bits=bits)
    assert whole(task).equal(numbers.reshape(5, -1).to(torch.uint8))
    assert in_strips(task, 7).equal(whole(task))


def test_words_may_lie_across_rows(whole):
    words = torch.tensor([[0x21, 0x43]], dtype=torch.uint8)
    across = strided(constant(words), (1, 2, 2), (2, 0, 1), shape=(2, 2))
    assert whole(unpack(across, bits=4, inner=2)).tolist() == [[1, 3], [2, 4]]


def test_numbers_of_a_word_may_stand_in_another_order(whole):
    words = strided(constant(torch.tensor([0x21], dtype=torch.uint8)), (2,), (0,), shape=(2,))
    assert whole(unpack(words, bits=4, order=(1, 0))).tolist() == [2, 1]


@pytest.mark.parametrize("inner", [1, 3])
def test_unpack_keeps_its_word(inner):
    words = torch.randint(-(2**31), 2**31 - 1, (6, 1, inner), dtype=torch.int32)
    view = strided(constant(words), (6, 8, inner), (inner, 0, 1), shape=(6, 8 * inner))
    check_tasks([unpack(view, bits=4, inner=inner)], set())
