"""Scales of activations: what a running model would divide its activations by."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ACTIVATIONS = re.compile(
    r"(?:^|\.)(?:input_scale|input_scale_ub|input_global_scale|input_zero_point|output_scale"
    r"|activation_scale|act_scale|scale_input|scaled_fp8"
    r"|[qkv]_scale|[kv]_proj\.output_scale|prob_output_scale"
    r"|\w+_(?:input_scale|activation_scale))$"
)


def activation_scales(names: Iterable[str]) -> tuple[str, ...]:
    """The names that say nothing of weights: a result has no use for them."""
    return tuple(filter(_ACTIVATIONS.search, names))
