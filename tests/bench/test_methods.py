"""What whole merges in memory cost, the engine included; `make bench` times them."""

from __future__ import annotations

import pytest
import torch

import mergegraph

SIDE = 1024
PRUNED = {"weight": 0.4, "density": 0.5}
METHODS = {
    "linear": {"weight": 0.4},
    "slerp": {"t": 0.4},
    "task_arithmetic": {"weight": 0.4},
    "ties": PRUNED,
    "dare_linear": PRUNED,
    "dare_ties": PRUNED,
    "della": {**PRUNED, "epsilon": 0.1},
    "breadcrumbs": {**PRUNED, "gamma": 0.01},
    "model_stock": {},
}


@pytest.fixture
def tensors():
    """Of a base and three fine-tunes."""
    random = torch.Generator().manual_seed(0)
    base, *changes = (torch.randn(SIDE, SIDE, generator=random) for _ in range(4))
    return [base, *(base + 0.05 * each for each in changes)]


@pytest.mark.parametrize("method", METHODS)
def test_a_merge_by(compared, method, tensors):
    base, *models = ({"w": each} for each in tensors)
    named = dict(zip("abc", models[:1] if method == "slerp" else models, strict=False))
    given = {"base": None if method == "linear" else base, **METHODS[method]}
    compared(lambda: mergegraph.merge(named, method=method, threads=1, **given), SIDE**2)
