"""What kernels cost on one strip, and a whole merge on a small family; `make bench` times them."""

from __future__ import annotations

import pytest
import torch

import mergegraph
from mergegraph.ops.fusion import elect, fuse, fuse_elected
from mergegraph.ops.order import _high_histogram, _prune
from mergegraph.ops.pruning import keep_probabilities, uniform_draws
from mergegraph.strips import STRIP

WEIGHTS = (0.5, 0.3, 0.2)


@pytest.fixture
def strips():
    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(0)
    return [torch.randn(STRIP, generator=random) for _ in range(4)]


def test_copy(benchmark, strips):
    """The yardstick: memory copied."""
    benchmark(strips[0].clone)


def test_fuse(benchmark, strips):
    benchmark(fuse.kernel, *strips, weights=WEIGHTS, normalize=False, scale=1.0)


def test_elect(benchmark, strips):
    benchmark(elect.kernel, *strips[1:], weights=WEIGHTS, by="sum")


def test_fuse_elected(benchmark, strips):
    signs = strips[1].sign()
    benchmark(
        fuse_elected.kernel,
        strips[0],
        signs,
        *strips[1:],
        weights=WEIGHTS,
        normalize=True,
        scale=1.0,
    )


def test_histogram(benchmark, strips):
    benchmark(_high_histogram.kernel, strips[0])


def test_pruning_at_a_threshold(benchmark, strips):
    threshold = torch.tensor([[0x3F80_0000, 5]])
    benchmark(_prune.kernel, strips[0], threshold, torch.tensor([0]))


def test_uniform_draws(benchmark):
    benchmark(uniform_draws, 7, 0, STRIP)


def test_ranks_of_rows(benchmark, strips):
    benchmark(keep_probabilities, strips[0].reshape(-1, 1024), density=0.5, epsilon=0.1)


@pytest.mark.parametrize("method", ["linear", "ties"])
def test_a_merge_in_memory(benchmark, method):
    random = torch.Generator().manual_seed(0)
    base, a, b = ({"w": torch.randn(1024, 1024, generator=random)} for _ in range(3))
    given = {"base": base, "density": 0.3} if method == "ties" else {}
    benchmark(mergegraph.merge, {"a": a, "b": b}, method=method, weight=1, **given)
