"""TIES, against trimming by sorting, electing and averaging entry by entry."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mergegraph_methods.ties import ties

DENSITIES = st.sampled_from([0.0, 0.01, 0.2, 1 / 3, 0.5, 0.9, 1.0])


def trimmed(delta: np.ndarray, density: float) -> np.ndarray:
    count = 0 if density == 0 else min(len(delta), max(1, floor(density * len(delta) + 1e-9)))
    kept = np.argsort(-np.abs(delta), kind="stable")[:count]
    result = np.zeros_like(delta)
    result[kept] = delta[kept]
    return result


def elected(votes: np.ndarray, by: str) -> np.ndarray:
    """The sign of each column: +1 or −1."""
    if by == "count":
        return np.where(np.sign(votes).sum(0) >= 0, 1, -1)
    if by == "max":
        largest = np.abs(votes).argmax(0)
        return np.where(np.take_along_axis(votes, largest[None], 0)[0] >= 0, 1, -1)
    return np.where(votes.sum(0) >= 0, 1, -1)


def plainest_ties(
    base: torch.Tensor,
    models: list[torch.Tensor],
    weight: list[float],
    density: list[float],
    *,
    normalize: bool,
    strength: float,
    by: str,
) -> torch.Tensor:
    deltas = [(each - base).double().reshape(-1).numpy() for each in models]
    deltas = [trimmed(each, kept) for each, kept in zip(deltas, density, strict=True)]
    weights = np.array(weight)[:, None]
    votes = weights * np.stack(deltas)
    agrees = np.sign(votes) == elected(votes, by)
    total = (votes * agrees).sum(0)
    mass = (weights * agrees).sum(0)
    merged = total / np.where(mass == 0, 1, mass) if normalize else total
    return base.double() + torch.from_numpy(strength * merged).reshape(base.shape)


@given(
    data=st.data(),
    normalize=st.booleans(),
    strength=st.sampled_from([0.0, 1.0, 1.8, -0.5]),
    by=st.sampled_from(["sum", "count", "max"]),
)
@settings(max_examples=200, deadline=None)
def test_trim_elect_and_merge(data, normalize, strength, by, draw_family, draw_weights, merge):
    base, models = draw_family(data)
    weights = draw_weights(data, len(models))
    density = data.draw(st.lists(DENSITIES, min_size=len(models), max_size=len(models)))
    numbers = {"normalize": normalize, "elect": by, "lambda": strength}
    found = merge(ties, base, models, weight=weights, density=density, **numbers)
    wanted = plainest_ties(
        base, models, weights, density, normalize=normalize, strength=strength, by=by
    )
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


def test_rescaling_restores_the_sum_of_magnitudes(merge):
    found = merge(ties, [0.0] * 4, [[1.0, -2.0, 3.0, 4.0]], density=0.5, rescale=True)
    torch.testing.assert_close(found, torch.tensor([0, 0, 30 / 7, 40 / 7]))


def test_rescaling_what_was_pruned_to_nothing_gives_the_base(merge):
    found = merge(ties, [1.0, 2.0], [[3.0, 5.0]], density=0.0, rescale=True)
    assert found.tolist() == [1, 2]


def test_at_density_one_no_threshold_is_sought(merge_task):
    task = merge_task(ties, [0.0, 0.0], [[1.0, 2.0], [3.0, 4.0]], rescale=True)
    assert "order" not in " ".join(each.op.name for each in task.inputs)


@pytest.mark.parametrize("density", [0.0, 1e-6, 0.5, 1.0])
def test_equal_models_at_any_density_stay_between_base_and_model(density, merge):
    model = [1.0, 2.0, 3.0, 4.0]
    found = merge(ties, [0.0] * 4, [model, model], density=density)
    assert all(each in (0, wanted) for each, wanted in zip(found.tolist(), model, strict=True))


def test_without_models_the_base_is_returned(merge):
    assert merge(ties, [1.0, 2.0], []).tolist() == [1, 2]
