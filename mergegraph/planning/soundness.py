"""Checks of what is to be written: that it is finite in the dtype it is stored in."""

from __future__ import annotations

from collections.abc import Iterable

from mergegraph.findings import Check
from mergegraph.ops.arithmetic import unrounded
from mergegraph.ops.folds import count_beyond, count_nonfinite
from mergegraph.plans import Output
from mergegraph.tasks import Task

_ANYWAY = "set on_nonfinite to propagate to have it all the same"
_LARGEST = {
    "float8_e4m3fn": "448",
    "float8_e5m2": "57344",
    "float16": "65504",
    "bfloat16": "3.4e38",
    "float32": "3.4e38",
}
_WIDER = {
    "float8_e4m3fn": "bfloat16 or float32",
    "float8_e5m2": "bfloat16 or float32",
    "float16": "bfloat16 or float32",
    "bfloat16": "float32",
    "float32": "float64",
}
_SATURATING = {"float8_e4m3fn": 464.0}  # what is above it does not round to the largest number


def checks_of(outputs: Iterable[Output], *, is_fatal: bool = True) -> list[Check]:
    """That no NaN and no infinity is written, or that it is told if that is not fatal."""
    return [
        _fatal(each) if is_fatal else _warning(each) for each in outputs if each.task.spec.is_float
    ]


def _warning(output: Output) -> Check:
    dtype = output.task.spec.dtype
    fact = f"{output.directory}: came to be NaN or infinite in {dtype}"
    if _saturates(output):
        fact = (
            f"{output.directory}: came to be NaN, or {_LARGEST[dtype]} in place of more, in {dtype}"
        )
    return Check(_count(output), fact, is_fatal=False, tensor=output.name)


def _fatal(output: Output) -> Check:
    dtype = output.task.spec.dtype
    told = f"{output.directory}: {output.name} came to be NaN or infinite"
    before = unrounded(output.task)
    if before is output.task or dtype not in _LARGEST:
        return Check(_count(output), f"{told} in {dtype}; {_ANYWAY}", is_fatal=True)
    fact = f"{told} in {dtype}, whose largest number is {_LARGEST[dtype]}"
    if _saturates(output):
        fact = f"{output.directory}: {output.name} came to be NaN or beyond {dtype}, whose largest"
        fact = f"{fact} number is {_LARGEST[dtype]}"
    remedy = f"store it as {_WIDER[dtype]} (out_dtype), or set on_nonfinite to propagate"
    already = Check(count_nonfinite(before), f"{told}; {_ANYWAY}", is_fatal=True)
    return Check(_count(output), f"{fact}; {remedy}", is_fatal=True, causes=(already,))


def _saturates(output: Output) -> bool:
    """Whether what is too large for its dtype comes to be its largest number, as in bytes."""
    is_rounded = unrounded(output.task) is not output.task
    return is_rounded and output.task.spec.dtype in _SATURATING


def _count(output: Output) -> Task:
    """How much is not to be written as it is."""
    if _saturates(output):
        largest = _SATURATING[output.task.spec.dtype]
        return count_beyond(unrounded(output.task), largest=largest)
    return count_nonfinite(output.task)
