"""DELLA, against ranks found by sorting each row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mergegraph_methods.della import della, della_linear

from mergegraph import MergeGraphError


def chances(row: np.ndarray, density: float, epsilon: float) -> np.ndarray:
    """The keep probability of each entry of a row."""
    ranks = np.empty(len(row))
    ranks[np.argsort(-np.abs(row), kind="stable")] = np.arange(len(row))
    steps = ranks / (len(row) - 1) if len(row) > 1 else np.full(1, 0.5)
    return density + epsilon - 2 * epsilon * steps


def dropped(
    delta: torch.Tensor, density: float, epsilon: float, seed: int, rescale: bool
) -> torch.Tensor:
    if density == 1:
        return delta.double()
    rows = delta.numpy().reshape(delta.shape[0] if delta.dim() > 1 else 1, -1)
    keep = np.stack([chances(row, density, epsilon) for row in rows])
    words = np.random.Philox(key=seed).random_raw(delta.numel() // 4 + 1)
    draws = (words.view(np.uint16)[: delta.numel()] / 2**16).reshape(rows.shape)
    kept = np.where(draws < keep, rows.astype(np.float64), 0.0)
    return torch.from_numpy(kept / keep if rescale else kept).reshape(delta.shape)


def merged(deltas, weights, *, is_elected: bool, normalize: bool) -> torch.Tensor:
    shares = torch.tensor(weights, dtype=torch.float64)
    votes = torch.stack([w * each for w, each in zip(weights, deltas, strict=True)])
    # weights over unequal chances that cancel but for rounding are settled by the rounding
    mass = votes.sum(0).abs()
    assume(bool(((mass > 1e-5 * votes.abs().sum(0)) | (votes == 0).all(0)).all()))
    signs = torch.where(votes.sum(0) >= 0, 1.0, -1.0)
    agrees = votes.sign() == signs if is_elected else torch.ones_like(votes).bool()
    mass = torch.tensordot(shares, agrees.double(), 1)
    total = (votes * agrees).sum(0)
    return total / torch.where(mass == 0, 1.0, mass) if normalize else total


@pytest.mark.parametrize("method", [della, della_linear], ids=lambda each: each.name)
@given(
    data=st.data(),
    normalize=st.booleans(),
    rescale=st.booleans(),
    density=st.sampled_from([0.3, 0.5, 0.8, 1.0]),
    epsilon=st.sampled_from([0.0, 0.1, 0.15]),
)
@settings(max_examples=100, deadline=None)
def test_drop_elect_and_fuse(
    method, data, normalize, rescale, density, epsilon, draw_family, draw_weights, merge
):
    base, models = draw_family(data)
    if base.numel() == 0:
        return
    weights = draw_weights(data, len(models), positive=True)
    deltas = [
        dropped(each - base, density, epsilon, seed, rescale) for seed, each in enumerate(models)
    ]
    change = merged(deltas, weights, is_elected=method is della, normalize=normalize)
    numbers = {"normalize": normalize, "rescale": rescale, "density": density, "lambda": 1.1}
    found = merge(method, base, models, weight=weights, epsilon=epsilon, **numbers)
    wanted = base.double() + 1.1 * change
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(("density", "epsilon"), [(0.1, 0.1), (0.9, 0.15), (0.5, 0.5)])
def test_probabilities_outside_the_open_range_are_refused(density, epsilon, merge_task):
    with pytest.raises(MergeGraphError, match=rf"density {density} ± epsilon {epsilon} leaves"):
        merge_task(della, [0.0], [[1.0]], density=density, epsilon=epsilon)


@pytest.mark.parametrize("density", [0.0, 1.0])
def test_where_nothing_is_drawn_any_window_will_do(density, merge):
    found = merge(della, [1.0, 1.0], [[3.0, 0.0]], density=density, epsilon=0.4)
    assert found.tolist() == ([3, 0] if density else [1, 1])


def test_large_entries_survive_more_often(merge):
    base, model = torch.zeros(4000, 2), torch.tensor([[1.0, 2.0]]).expand(4000, 2)
    found = merge(della, base, [model], density=0.5, epsilon=0.3) != 0
    small, large = found.float().mean(0).tolist()
    assert small == pytest.approx(0.2, abs=0.03)
    assert large == pytest.approx(0.8, abs=0.03)
