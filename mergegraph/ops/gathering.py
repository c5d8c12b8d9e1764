"""Rows put elsewhere: those of any tensor, the mean of all of them, a few put into others."""

from __future__ import annotations

from typing import Any

from mergegraph.ops.arithmetic import mapped
from mergegraph.rowmap import ABSENT, RowMap
from mergegraph.spec import Spec
from mergegraph.tasks import op


@op(resizes=True, infer=lambda tensor, *, rows: mapped(tensor, rows))
def gather(tensor: Any, *, rows: RowMap) -> Any:
    """The rows of a tensor that a map names, zeros where it names none."""
    flat = tensor.reshape(rows.of, -1)
    width = flat.shape[1]
    result = flat.new_empty(rows.count, width)
    for first, last, source in rows.parts(0, rows.count, 1):
        if source == ABSENT:
            result[first:last] = 0
        else:
            result[first:last] = flat[source : source + last - first]
    is_one_row = tensor.shape == (1, rows.of)
    return result.reshape(1, -1) if is_one_row else result.reshape(-1, *tensor.shape[1:])


@op(cut="fold", copies=4, infer=lambda _tensor, *, width, of: Spec((width,), "float64"))  # noqa: ARG005
def mean_row(tensor: Any, *, width: int, of: int, start: int) -> Any:
    """The mean of `of` rows of a tensor, all others being zeros, in float64.

    Rows are `width` entries wide.
    """
    import torch

    before = start % width
    after = -(before + len(tensor)) % width
    if before or after:
        tensor = torch.nn.functional.pad(tensor, (before, after))
    return tensor.reshape(-1, width).sum(0, dtype=torch.float64) / of


@op(cut="pointwise")
def only_rows(tensor: Any, *, rows: RowMap, width: int, start: int) -> Any:
    """The tensor with zeros in the rows, `width` entries wide, that are absent in a map."""
    result = None
    for first, last, source in rows.parts(start, start + tensor.numel(), width):
        if source == ABSENT:
            result = tensor.clone() if result is None else result
            result.view(-1)[first:last] = 0
    return tensor if result is None else result


@op(small=True)
def taken(tensor: Any) -> Any:
    """A few rows, to be handed whole to who puts them somewhere."""
    return tensor


@op(cut="pointwise", copies=2, infer=lambda tensor, _given, *, rows: tensor)  # noqa: ARG005
def put_rows(tensor: Any, given: Any, *, rows: RowMap, start: int) -> Any:
    """The tensor with rows of a small one wherever a map names one of them."""
    width = given.numel() // rows.of
    own = given.reshape(-1).to(tensor.dtype)
    result = None
    for first, last, source in rows.parts(start, start + len(tensor), width):
        if source != ABSENT:
            result = tensor.clone() if result is None else result
            result[first:last] = own[source : source + last - first]
    return tensor if result is None else result
