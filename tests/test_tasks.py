"""Tasks and their keys."""

from __future__ import annotations

import pytest
import torch

from mergegraph import op
from mergegraph.testing import constant

A = constant(torch.ones(3))


def times(factor):
    @op(cut="pointwise")
    def scaled(tensor):
        return tensor * factor

    return scaled


def test_kernels_that_close_over_different_numbers_have_different_keys():
    assert times(2)(A).key != times(3)(A).key
    assert times(2)(A).key == times(2)(A).key


def test_a_number_that_has_no_identity_is_refused():
    @op
    def shifted(tensor, *, by):
        return tensor + by

    with pytest.raises(TypeError, match="neither a number nor a word"):
        shifted(A, by=torch.ones(3))


def test_a_keyword_that_a_kernel_does_not_take_is_refused():
    with pytest.raises(TypeError, match="takes no factor"):
        times(2)(A, factor=1)
