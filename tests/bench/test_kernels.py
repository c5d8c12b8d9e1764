"""What the kernels of every bundled op cost on one strip; `make bench` times them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mergegraph import Factors, ops
from mergegraph.strips import STRIP
from mergegraph.tasks import walk
from mergegraph.testing import constant, evaluate, small

ROW = 1024
FLOAT8 = "float8_e4m3fn"
TURNED = ((ROW, ROW // 8), (1, ROW))  # sizes and strides of a strip read down its columns
WEIGHTS = (0.5, 0.3, 0.2)


class Family:
    """A base, three models, and their task vectors: one strip each, as tasks."""

    def __init__(self):
        random = torch.Generator().manual_seed(0)
        base, *changes = (torch.randn(STRIP // ROW, ROW, generator=random) for _ in range(4))
        self.base = constant(base)
        self.models = [constant(base + 0.05 * each) for each in changes]
        self.deltas = [constant(0.05 * each) for each in changes]
        self.signs = constant(changes[0].sign())
        self.numbers = small(torch.tensor(WEIGHTS, dtype=torch.float64))
        self.number = small(torch.tensor([1.5]))
        self.count = small(torch.tensor([STRIP // 3]))
        self.codes = constant(base.to(torch.float8_e4m3fn))
        self.scales = small(torch.rand(1, ROW // 128))
        self.words = constant(torch.randint(0, 256, base.shape, dtype=torch.uint8))
        self.turned = constant(base.T.contiguous())
        self.factors = [
            Factors(small(torch.randn(STRIP // 16, 16)), small(torch.randn(16, STRIP // 16)))
            for _ in range(3)
        ]
        self.bounds = small(torch.tensor([[0x3D00_0000, 9]]))  # the bits of 1/32


OPS = {
    "absolute_sums": lambda f: ops.absolute_sums(*f.deltas),
    "as_small": lambda f: ops.as_small(f.base),
    "average": lambda f: ops.average(*f.models, weights=WEIGHTS),
    "bounds_across": lambda f: ops.bounds_across(f.deltas, keep=STRIP)[1],
    "cast": lambda f: ops.cast(f.base, "bfloat16"),
    "combine": lambda f: ops.combine(*f.models, f.numbers),
    "count_zeros": lambda f: ops.count_zeros(f.deltas[0]),
    "delta": lambda f: ops.delta(f.models[0], f.base),
    "dequantise": lambda f: ops.dequantise(f.codes, f.scales, block=(128, 128)),
    "elect": lambda f: ops.elect(*f.deltas, weights=WEIGHTS, by="sum"),
    "fuse": lambda f: ops.fuse(f.base, *f.deltas, weights=WEIGHTS),
    "fuse_elected": lambda f: ops.fuse_elected(f.base, f.signs, *f.deltas, weights=WEIGHTS),
    "gram": lambda f: ops.gram(*f.deltas),
    "join_factors": lambda f: ops.join_factors(f.factors, weights=WEIGHTS).right,
    "only_at": lambda f: ops.only_at(f.deltas[0], f.deltas[1]),
    "prune_at_random": lambda f: ops.prune_at_random(f.deltas[0], density=0.5, seed=7),
    "prune_by_magnitude": lambda f: ops.prune_by_magnitude(f.deltas[0], density=0.2),
    "prune_by_rank": lambda f: ops.prune_by_rank(f.deltas[0], density=0.5, epsilon=0.1, seed=7),
    "prune_by_size": lambda f: ops.prune_by_size(f.deltas[0], density=0.5, epsilon=0.1, seed=7),
    "prune_rows_to_band": lambda f: ops.prune_rows_to_band(f.deltas[0], keep=ROW // 2, top=9),
    "prune_to_band": lambda f: ops.prune_to_band(f.deltas[0], keep=STRIP // 2, top=STRIP // 100),
    "prune_to_count": lambda f: ops.prune_to_count(f.deltas[0], f.count),
    "prune_within": lambda f: ops.prune_within(f.deltas[0], f.bounds),
    "quantise": lambda f: ops.quantise(f.base, f.scales, block=(128, 128), dtype=FLOAT8),
    "rescale_to": lambda f: ops.rescale_to(f.deltas[0], f.deltas[1]),
    "scale": lambda f: ops.scale(f.base, factor=0.5),
    "scale_by": lambda f: ops.scale_by(f.base, f.number),
    "scales_for": lambda f: ops.scales_for(f.base, block=(128, 128), dtype=FLOAT8),
    "settle": lambda f: ops.settle(f.signs, f.number),
    "spread": lambda f: ops.spread(*f.models),
    "stack": lambda f: ops.stack(*f.models),
    "strided": lambda f: ops.delta(ops.strided(f.base, *TURNED, shape=(ROW, ROW // 8)), f.turned),
    "sum_signs": lambda f: ops.sum_signs(f.signs),
    "total": lambda f: ops.total([ops.absolute_sums(each) for each in f.deltas]),
    "unpack": lambda f: ops.unpack(f.words, bits=4),
    "values_at": lambda f: ops.values_at(f.deltas, [STRIP // 2, STRIP]),
}


def recorded(task, calls):
    """The same task, its kernels changed to note what they are called with."""
    made = {}
    for each in walk(task):
        op = replace(each.op, kernel=noting(each.op.kernel, calls))
        inputs = tuple(made[given.key] for given in each.inputs)
        made[each.key] = replace(each, op=op, inputs=inputs)
    return made[task.key]


def noting(kernel, calls):
    def call(*tensors, **numbers):
        calls.append((kernel, [each.clone() for each in tensors], numbers))
        return kernel(*tensors, **numbers)

    return call


def test_every_bundled_op_is_timed():
    assert set(OPS) == set(ops.__all__)


def test_copy_of_a_strip(compared):
    """The yardstick, against itself: how far the ratios may wander."""
    source, target = torch.rand(STRIP), torch.empty(STRIP)
    compared(lambda: target.copy_(source), STRIP)


@pytest.mark.parametrize("name", OPS)
def test_kernels_of(compared, name):
    """All that an op calls for one strip, from a call of the engine, repeated without it."""
    calls = []
    evaluate(recorded(OPS[name](Family()), calls))
    assert calls

    def repeat():
        for kernel, tensors, numbers in calls:
            kernel(*tensors, **numbers)

    compared(repeat, STRIP)
