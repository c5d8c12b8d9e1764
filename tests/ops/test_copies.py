"""What kernels allocate, measured against what they declare: the memory bound stands on it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mergegraph_methods import magmax, nearswap, star
from mergegraph_methods.parts import (
    active,
    aligned,
    arcs,
    blocks,
    directions,
    importance,
    interference,
    isotropy,
    masks,
    scores,
    shares,
    stock,
)
from torch.profiler import ProfilerActivity, profile

from mergegraph.bits import LOW_BITS, MAGNITUDE
from mergegraph.ops import (
    across,
    arithmetic,
    folds,
    fusion,
    gathering,
    graded,
    lowrank,
    moments,
    noise,
    order,
    packed,
    products,
    pruning,
    quantised,
    ranks,
    sketch,
    variance,
)
from mergegraph.ops import rows as rows_of_tensors
from mergegraph.rowmap import RowMap
from mergegraph.strips import STRIP
from mergegraph.tasks import Op

SLACK = 64 * 1024  # bytes: small results, what the interpreter needs
EVERY = range(5)


def allocated(call: Callable[[], Any]) -> int:
    """The most that a call has allocated at a time, by torch and by numpy."""
    call()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        call()
    events = [
        each for each in measured.profiler.kineto_results.events() if each.name() == "[memory]"
    ]
    now = most = 0
    for event in sorted(events, key=lambda each: each.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    tracemalloc.start()
    call()
    most += tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def strip(seed: int) -> torch.Tensor:
    return torch.randn(STRIP, generator=torch.Generator().manual_seed(seed))


def of_matrices() -> list[tuple[Op, Any, dict[str, Any]]]:
    """Whole ops with the matrices that cost them most: square ones, and such of low rank."""
    side = int(STRIP**0.5)
    many = [strip(i)[: side * side].reshape(side, side) for i in range(3)]
    wide = [strip(i).reshape(64, -1) for i in range(3)]
    sides = [strip(i).reshape(1, -1) for i in range(3)]
    ones = (1.0,) * len(many)
    total = sum(many).double()
    thin = total.clone()
    thin[1:] = 0
    to_float = {"weights": ones, "dtype": "float32"}
    square = total.float()
    steps = {"steps": 2, "learning_rate": 1e-5}
    return [
        (arithmetic.reorder, many[:1], {"axes": (1, 0)}),
        *of_low_rank(side),
        (aligned.shared_directions, many, {}),
        (aligned.shared_directions, [each.reshape(-1, 64) for each in wide], {}),
        (aligned.along, many[:2], {}),
        (aligned.back, (many[0], strip(0)[: side * side]), {"shape": (side, side)}),
        (directions.share_out, many, {"weights": ones}),
        (isotropy.sum_exactly, [strip(i) for i in range(3)], {"weights": ones}),
        (isotropy.flatten, (total,), {"rank_tol": 0.0}),
        (isotropy.flatten, (thin,), {"rank_tol": 0.0}),
        (isotropy.flatten_with_specific, many, {"weights": ones, "specific": side // 15}),
        (isotropy.flatten_with_specific, many, {"weights": ones, "specific": side // 3}),
        (star._truncate, many[:2], {"eta": 99.0, "weight": 1.0}),
        (interference.curvature, many, {"dtype": "float64"}),
        (interference.overlaps, sides[:1], {}),
        (interference.disturbance, many, to_float),
        (interference.disturbance, sides, to_float),
        (interference.descend, (square, square), {"by_inputs": True, **steps}),
        (interference.descend, wide, {"by_inputs": False, **steps}),
        (interference.solve, (total, total @ total.T), {}),
        (
            interference.solve_by_overlaps,
            (*sides, torch.eye(3, dtype=torch.float64)),
            {"weights": ones},
        ),
    ]


def of_sketches() -> list[tuple[Op, Any, dict[str, Any]]]:
    """Sketches of strips with few and with many directions, and of what is as large as a strip."""
    cases: list[tuple[Op, Any, dict[str, Any]]] = []
    for row, count in ((1024, 16), (256, 256), (STRIP // 2, 2)):
        basis = strip(1)[: row * count].reshape(row, count).double()
        numbers = {"row": row}
        cases += [
            (sketch._turn, (strip(0), basis), numbers),
            (sketch._left, (strip(0), basis), numbers),
            (sketch._draw, (strip(0),), {**numbers, "count": count, "seed": 1, "start": 0}),
        ]
    cases += [(sketch._overlaps, (strip(0),), {"row": 64})]
    high = strip(0).reshape(-1, 128).double()
    wide = high.T.float().contiguous()
    cases += [
        (sketch._identity, (high[:128],), {}),
        (sketch._orthonormal, (high,), {}),
        (sketch.singular_values, (high, high), {}),
        (sketch._right, (high, high), {"rank": 128, "dtype": "float32", "is_even": True}),
        (sketch._dual, (wide,), {}),
        (sketch.laid_out, (wide,), {"shape": (1024, 128), "dtype": "bfloat16", "turned": True}),
    ]
    return cases


def of_low_rank(side: int) -> list[tuple[Op, Any, dict[str, Any]]]:
    """Ops with factors, of which the larger one is as large as a strip."""
    left, right = strip(0).reshape(-1, 64), strip(1).reshape(64, -1)
    rows, along = strip(2).reshape(64, -1), {"density": 0.5, "columns": 7}
    square = strip(3)[: side * side].reshape(side, side)
    factors = (left[:side, :4].reshape(1, side, 4), right[:4, :side].reshape(1, 4, side))
    factors = tuple(each.contiguous() for each in factors)
    weight, lengths = strip(4)[: side * side], torch.ones(side)
    return [
        (products.factor, (left,), {"shape": (64, -1), "order": (1, 0)}),
        (products.part, (left,), {"axis": 0, "first": 0, "count": 100}),
        (products.add_product, (weight, *factors), {"scale": 0.5, "start": 0}),
        (products.set_row_lengths, (square, lengths), {"start": 0}),
        (products.column_squares, (weight,), {"columns": side, "start": 5}),
        (products.set_column_lengths, (square, lengths, lengths.double()), {}),
        (products.put_rows, (square, square[:2]), {"places": (3, 5), "start": 0}),
        (lowrank.beside, (left[:1000], left[1000:]), {"axis": 0}),
        (lowrank._compress, (left, right), {"rank": 16}),
        (lowrank.spectrum, (left, right), {}),
        (lowrank._decompose, (square,), {"rank": 4}),
        (lowrank._decompose, (square,), {"rank": side}),
        (aligned.shared_directions_of_factors, (left, right[:20], right[20:]), {}),
        (aligned.along_of_factors, (rows, left, right), {}),
        (aligned.count_along, (rows,), along),
        (aligned._zeros, (left,), {}),
    ]


def kernels() -> list[Any]:
    """Ops with inputs that cost them most, and how their strips are shaped."""
    x, zeros = strip(0), torch.zeros(STRIP)
    many = [strip(i) for i in range(6)]
    ones = (1.0,) * len(many)
    spoilt = torch.where(x > 0, x, float("nan"))
    half = torch.tensor([[STRIP // 2, STRIP // 2], [STRIP // 4, STRIP // 4]])
    one, infinity = 0x3F80_0000, 0x7F80_0000
    bounds = torch.tensor([[one, STRIP // 2], [one, STRIP // 4]])
    infinite = torch.tensor([[infinity, STRIP // 2], [infinity, STRIP // 4]])
    none_yet = torch.zeros(2, dtype=torch.int64)
    rows = [each.reshape(-1, 1024) for each in many]
    pairs = [each.reshape(-1, 2) for each in many]
    chance = {"density": 0.5, "seed": 1, "rescale": True, "start": 3}
    codes, bytes_ = x.to(torch.float8_e4m3fn), x.view(torch.uint8)[:STRIP]
    even = {"blocks": (128, 1024, 128, 128)}
    uneven = {"blocks": (STRIP // 1000 + 1, 1000, 3, 7), "start": 5}
    of_rows = {"blocks": (129, 1024, 1, 32), "table": (), "start": 5}
    fp8 = {"dtype": "float8_e4m3fn"}
    one_row, rows_of = torch.rand(1, 8), torch.rand(129, 32)
    many_scales = torch.rand(44, 143)
    ranked = {**chance, "epsilon": 0.1, "is_open": False}
    cases = [
        (arithmetic._cast, (x,), {"dtype": "bfloat16"}),
        (packed._unpack, (bytes_,), {"bits": 4, "inner": 1, "order": (0, 1), "start": 0}),
        (packed._unpack, (bytes_,), {"bits": 4, "inner": 100, "order": (1, 0), "start": 5}),
        (quantised._whole, (x,), {}),
        (quantised._dequantise, (codes, one_row), {**even, "table": (), "start": 0}),
        (quantised._dequantise, (codes, many_scales), {**uneven, "table": ()}),
        (quantised._dequantise, (codes, rows_of), of_rows),
        (
            quantised._dequantise,
            (bytes_ & 3, one_row),
            {**even, "table": (1, 2, 3, 4), "start": 0},
        ),
        (quantised._block_maxima, (x,), {**even, "grid": (1, 8), "start": 0}),
        (quantised._block_maxima, (x,), {**uneven, "grid": (44, 143)}),
        (quantised._quantise, (x, one_row), {**even, **fp8, "start": 0}),
        (quantised._quantise, (x, many_scales), {**uneven, **fp8}),
        (arithmetic.delta, (x, many[1]), {}),
        (arithmetic.scale, (x,), {"factor": 2.0}),
        (arithmetic.average, many, {"weights": ones}),
        (arithmetic.combine, (*many, torch.ones(6)), {}),
        (arithmetic.extend, (x[:100], x), {}),
        (arithmetic.fill_nonfinite, (spoilt, *many), {}),
        (folds.gram, many, {}),
        (folds.gram, many[:2], {}),
        (folds.absolute_sums, many, {}),
        (moments._moments, many, {}),
        (moments._moments, many[:2], {}),
        (folds.count_nonfinite, (x,), {}),
        (folds.count_nonfinite, (spoilt.bfloat16(),), {}),
        (folds.count_beyond, (x,), {"largest": 1.0}),
        (folds.count_different, many, {}),
        (fusion.fuse, (x, *many), {"weights": ones}),
        (fusion.fuse_elected, (x, x.sign(), *many), {"weights": ones}),
        (order.high_histogram, (x,), {}),
        (order.low_histogram, (zeros, torch.zeros(2, 2, dtype=torch.int64)), {}),
        (order.count_ties, (zeros, half), {}),
        (order._prune, (x, bounds, none_yet), {}),
        (order._prune, (zeros + 1, bounds, none_yet), {}),
        (order._prune, (x * float("inf"), infinite, none_yet), {}),
        (pruning._drop_at_random, (x,), chance),
        (pruning._drop_by_rank, (rows[0],), ranked),
        (pruning._drop_by_rank, (x.reshape(1, -1),), ranked),
        (stock.by_row, rows, {"clip": True}),
        (stock.by_row, pairs, {"clip": True}),
        (ranks._high_histogram, (spoilt,), {}),
        (ranks._low_histogram, (zeros, torch.zeros(3, 2, dtype=torch.int64)), {}),
        (ranks._low_histogram, (spoilt, torch.full((3, 2), MAGNITUDE >> LOW_BITS)), {}),
        (nearswap._approach, (x, many[1]), {"t": 0.1}),
        (importance.take_outstanding, (x, many[1], many[2].abs(), torch.rand(3)), {}),
        (arcs.column_dots, many[:2], {"columns": 1000, "start": 7}),
        (arcs.column_dots, many[:2], {"columns": 2 * STRIP, "start": 7}),
        (arcs.column_weights, (x[: STRIP // 3 * 3].reshape(3, -1).double().abs(),), {"t": 0.3}),
        (arcs.by_column, (*rows[:2], torch.ones(2, 1024)), {}),
    ]
    window = {"density": 0.5, "epsilon": 0.1}
    cases += [
        (order.count_zeros, (x,), {}),
        (rows_of_tensors._prune_rows, (rows[0],), {"keep": 500, "top": 9}),
        (rows_of_tensors._prune_rows, (x.reshape(1, -1),), {"keep": 500, "top": 9}),
        (pruning._drop_by_chance, (x, torch.rand(STRIP)), {"seed": 1, "rescale": True, "start": 3}),
        (graded.chances_by_rank, (x,), {**window, "is_open": False}),
        (graded.extremes, (x,), {}),
        (graded.chances_by_size, (x, torch.tensor([-0.1, 1.0])), window),
        (graded.chances_by_size_in_row, (rows[0],), window),
        (variance.spread, many, {}),
        (variance.only_at, (x, many[1]), {}),
        (shares.energies, many, {}),
        (shares.fuse, (x, x.sign(), *many, torch.full((6,), 1 / 6)), {"scale": 0.5}),
        (magmax._largest, many, {}),
    ]
    for n, m in ((1, 2), (64, 256), (1, blocks.TOGETHER), (9, blocks.TOGETHER - 1)):
        numbers = {"keep": n, "of": m, "weight": 0.5}
        cases += [(blocks.fill_blocks, pair, numbers) for pair in (many[:1], many[:2])]
        cases += [(blocks.fill_blocks_in_rows, pair, numbers) for pair in (pairs[:2], rows[:2])]
    for width in (1, 2, 1024, STRIP):
        pair = [each.reshape(-1, width) for each in many[:2]]
        cases += [(arcs.by_row, pair, {"t": 0.3}), (importance.weigh_importance, pair, {})]
    shuffled = RowMap.of_rows([*range(100, 0, -1), -1, -1], of=len(rows[0]))
    some = RowMap.of_rows([*range(50), *[-1] * 50, *[0] * 28], of=50)
    few = rows[1][:50]
    cases += [
        (gathering.gather, rows[:1], {"rows": shuffled}),
        (gathering.mean_row, (x.bfloat16(),), {"width": 1024, "of": 128, "start": 0}),
        (gathering.mean_row, (x,), {"width": 1000, "of": 132, "start": 7}),
        (gathering.only_rows, (x,), {"rows": some, "width": 1024, "start": 0}),
        (gathering.put_rows, (x, few), {"rows": some, "start": 0}),
    ]
    ends = torch.tensor([0.1, 2.0])
    cases += [
        (across._count_equal, (x, torch.tensor([[one, 5]])), {}),
        (fusion.sum_signs, (x.sign(),), {}),
        (fusion.settle, (x.sign(), torch.ones(1)), {}),
        (active.count_active, many, {"epsilon": 0.5}),
        (active.fuse_active, (x, *many), {"epsilon": 0.5}),
        (active.fuse_strengthened, (x, *many, torch.full((6,), 1.1)), {"epsilon": 0.5}),
        (masks.unify, many, {}),
        (masks.agreeing, (x, many[1]), {}),
        (masks.fuse_needed, (x, *many),
         {"lambda_mask": ones, "k": 2, "task": None, "scale": 0.5}),
        (scores.magnitude, (x,), {}),
        (scores.score, (x, *many, ends), {}),
        (scores.fuse_scored, (x, *many[:3], *many[3:], *[ends] * 6), {"count": 3, "scale": 0.5}),
    ]  # fmt: skip
    cases += of_matrices()
    cases += of_sketches()
    cases += [(noise.add_noise, (x,), {"spread": 0.1, "seed": 1, "start": 3})]
    cases += [(fusion.elect, many, {"weights": ones, "by": by}) for by in ("sum", "count", "max")]
    return [
        pytest.param(op, inputs, numbers, id=f"{op.name.rpartition('.')[2]}-{i}")
        for i, (op, inputs, numbers) in enumerate(cases)
    ]


@pytest.mark.parametrize(("op", "inputs", "numbers"), kernels())
def test_no_kernel_allocates_more_than_it_declares(op: Op, inputs, numbers):
    size = STRIP * 4
    if op.cut == "fold":  # the result itself is counted beside the copies
        result = op.kernel(*inputs, **numbers)
        size_of_result = result.numel() * result.element_size()
    else:
        size_of_result = 0
    most = allocated(lambda: op.kernel(*inputs, **numbers))
    assert most <= op.copies * size + size_of_result + SLACK
