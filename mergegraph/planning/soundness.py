"""Checks of what is to be written: that it is finite in the dtype it is stored in."""

from __future__ import annotations

from collections.abc import Iterable

from mergegraph.findings import Check
from mergegraph.ops.arithmetic import unrounded
from mergegraph.ops.folds import count_nonfinite
from mergegraph.plans import Output

_ANYWAY = "set on_nonfinite to propagate to have it all the same"
_LARGEST = {"float16": "65504", "bfloat16": "3.4e38", "float32": "3.4e38"}
_WIDER = {"float16": "bfloat16 or float32", "bfloat16": "float32", "float32": "float64"}


def checks_of(outputs: Iterable[Output], *, is_fatal: bool = True) -> list[Check]:
    """That no NaN and no infinity is written, or that it is told if that is not fatal."""
    return [
        _fatal(each) if is_fatal else _warning(each)
        for each in outputs
        if each.task.spec.is_float and not each.task.is_small
    ]


def _warning(output: Output) -> Check:
    dtype = output.task.spec.dtype
    fact = f"{output.directory}: came to be NaN or infinite in {dtype}"
    return Check(count_nonfinite(output.task), fact, is_fatal=False, tensor=output.name)


def _fatal(output: Output) -> Check:
    dtype = output.task.spec.dtype
    told = f"{output.directory}: {output.name} came to be NaN or infinite"
    before = unrounded(output.task)
    if before is output.task or dtype not in _LARGEST:
        return Check(count_nonfinite(output.task), f"{told} in {dtype}; {_ANYWAY}", is_fatal=True)
    fact = f"{told} in {dtype}, whose largest number is {_LARGEST[dtype]}"
    remedy = f"store it as {_WIDER[dtype]} (out_dtype), or set on_nonfinite to propagate"
    already = Check(count_nonfinite(before), f"{told}; {_ANYWAY}", is_fatal=True)
    return Check(
        count_nonfinite(output.task), f"{fact}; {remedy}", is_fatal=True, causes=(already,)
    )
