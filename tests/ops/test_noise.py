"""Noise that is the same whichever strip an entry is in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mergegraph.ops.noise import add_noise, normal
from mergegraph.testing import check_op, constant, evaluate


def test_it_keeps_its_word():
    check_op(add_noise, torch.randn(131), spread=0.5, seed=3)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (1, 2), (1, 7), (2, 9), (3, 100), (99, 101)])
def test_any_part_can_be_drawn_alone(start, stop):
    whole = normal(7, 0, 200)
    np.testing.assert_array_equal(normal(7, start, stop - start), whole[start:stop])


def test_numbers_are_normal():
    drawn = torch.from_numpy(normal(1, 0, 400_000))
    assert drawn.mean().abs() < 0.01
    assert abs(drawn.std().item() - 1) < 0.01
    assert abs((drawn.abs() < 1).double().mean().item() - 0.6827) < 0.005
    assert abs((drawn[:-1] * drawn[1:]).mean().item()) < 0.01


def test_the_spread_is_that_of_the_noise():
    noisy = evaluate(add_noise(constant(torch.ones(300, 300)), spread=0.25, seed=0))
    assert abs(noisy.std().item() - 0.25) < 0.01
    assert abs(noisy.mean().item() - 1) < 0.01
