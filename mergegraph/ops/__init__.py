"""The ops that methods are made of: tasks in, a task out."""

from mergegraph.ops.across import bounds_across, total
from mergegraph.ops.arithmetic import average, cast, combine, delta, scale, scale_by, stack
from mergegraph.ops.folds import absolute_sums, gram
from mergegraph.ops.fusion import elect, fuse, fuse_elected, settle, sum_signs
from mergegraph.ops.lowrank import join_factors
from mergegraph.ops.order import (
    count_zeros,
    prune_by_magnitude,
    prune_to_band,
    prune_to_count,
    prune_within,
)
from mergegraph.ops.packed import strided, unpack
from mergegraph.ops.pruning import prune_at_random, prune_by_rank, prune_by_size, rescale_to
from mergegraph.ops.quantised import as_small, dequantise, quantise, scales_for
from mergegraph.ops.ranks import values_at
from mergegraph.ops.rows import prune_rows_to_band
from mergegraph.ops.variance import only_at, spread

__all__ = [
    "absolute_sums",
    "as_small",
    "average",
    "bounds_across",
    "cast",
    "combine",
    "count_zeros",
    "delta",
    "dequantise",
    "elect",
    "fuse",
    "fuse_elected",
    "gram",
    "join_factors",
    "only_at",
    "prune_at_random",
    "prune_by_magnitude",
    "prune_by_rank",
    "prune_by_size",
    "prune_rows_to_band",
    "prune_to_band",
    "prune_to_count",
    "prune_within",
    "quantise",
    "rescale_to",
    "scale",
    "scale_by",
    "scales_for",
    "settle",
    "spread",
    "stack",
    "strided",
    "sum_signs",
    "total",
    "unpack",
    "values_at",
]
