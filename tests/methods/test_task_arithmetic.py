"""Task arithmetic, against θ₀ + λ·Σ wᵢ·τᵢ."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mergegraph_methods.task_arithmetic import task_arithmetic

from mergegraph import MergeGraphError


@given(data=st.data(), strength=st.sampled_from([0.0, 0.4, 1.0, -1.5]))
@settings(max_examples=60, deadline=None)
def test_weighted_task_vectors_are_added(data, strength, draw_family, draw_weights, merge):
    base, models = draw_family(data)
    weights = draw_weights(data, len(models))
    start = base.double()
    deltas = [each.double() - start for each in models]
    wanted = start + strength * sum(w * each for w, each in zip(weights, deltas, strict=True))
    found = merge(task_arithmetic, base, models, weight=weights, **{"lambda": strength})
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_normalized_it_is_the_mean_task_vector(data, draw_family, draw_weights, merge):
    base, models = draw_family(data)
    weights = draw_weights(data, len(models), positive=True)
    start = base.double()
    deltas = [each.double() - start for each in models]
    mean = sum(w * each for w, each in zip(weights, deltas, strict=True)) / sum(weights)
    found = merge(task_arithmetic, base, models, weight=weights, normalize=True)
    torch.testing.assert_close(found.double(), start + mean, rtol=1e-5, atol=1e-5)


def test_weights_that_cancel_are_refused_only_if_normalized(merge, merge_task):
    inputs = [0.0], [[1.0], [3.0]]
    assert merge(task_arithmetic, *inputs, weight=[1.0, -1.0]).tolist() == [-2]
    with pytest.raises(MergeGraphError, match="add up to 0"):
        merge_task(task_arithmetic, *inputs, weight=[1.0, -1.0], normalize=True)


def test_one_model_in_full_is_restored(merge):
    assert merge(task_arithmetic, [1.0, 2.0], [[5.0, -3.0]]).tolist() == [5, -3]


def test_without_models_the_base_is_returned(merge):
    assert merge(task_arithmetic, [1.0, 2.0], []).tolist() == [1, 2]
