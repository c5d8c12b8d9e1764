"""The reading of what models share: the moments of every tensor, and the sums that they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import isfinite
from threading import Thread
from typing import Any

from mergegraph.kinship.kinds import kind_of
from mergegraph.kinship.metrics import Sums, Table
from mergegraph.kinship.shared import Shared
from mergegraph.kinship.values import TensorSums
from mergegraph.names import layer_of
from mergegraph.ops.moments import compile_for, moments, moments_of
from mergegraph.plans import Output, Plan
from mergegraph.running.reading import Reading, in_memory
from mergegraph.scheduling.schedule import TOGETHER_ON_CPU
from mergegraph.settings import Settings, has_compiler

_WORTH_COMPILING = 2**25  # entries; with fewer, compiling takes longer than it saves
_WORTH_COMPILING_ALL = 2**28  # with other values: the machine of fused passes takes seconds, too
_TOGETHER = 1  # strips at once: those of several models fill a cache


def outputs_of(shared: Sequence[Shared]) -> list[Output]:
    """The moments of each tensor that models share."""
    return [in_memory(f"moments of {each.name}", moments(*each.tasks)) for each in shared]


def make_reading(plan: Plan, shared: Sequence[Shared], settings: Settings) -> Reading:
    """The reading of a plan that has such moments, alone or among other values.

    Raises MergeGraphError if the plan does not fit.
    """
    is_alone = len(plan.outputs) == len(shared)
    return settings.reading(
        plan,
        together=_TOGETHER if is_alone else TOGETHER_ON_CPU,
        may_compile=has_compiler() and is_large(shared, is_alone=is_alone),
    )


def is_large(shared: Sequence[Shared], *, is_alone: bool = True) -> bool:
    """Whether there is so much to read that compiling takes less time than it saves."""
    entries = sum(task.spec.numel for each in shared for task in each.tasks)
    return entries >= (_WORTH_COMPILING if is_alone else _WORTH_COMPILING_ALL)


@contextmanager
def compiling(reading: Reading, count: int) -> Iterator[None]:
    """Have the kernel for so many models compiled beside what is done here, if it is to be."""

    def work() -> None:
        # what fails here fails again where it is needed, and is told there
        with suppress(Exception):
            compile_for(count)

    thread = Thread(target=work, name="compiler", daemon=True)
    if reading.is_compiled:
        thread.start()
    try:
        yield
    finally:
        if reading.is_compiled:
            thread.join()


def sums_of(shared: Shared, value: Any) -> TensorSums:
    """What the moments of a tensor say of it."""
    found = moments_of(value.flatten(), len(shared.tasks) - 1)
    layer = layer_of(shared.name)
    sums = Sums(
        entries=shared.tasks[0].spec.numel,
        base=found.base,
        sums=tuple(found.sums.tolist()),
        dots=_table(found.dots),
        same=_table(found.same),
        opposite=_table(found.opposite),
    )
    place = f"{layer.stack}.{layer.index}" if layer else None
    return TensorSums(shared.name, kind_of(shared.name), place, sums)


def _table(rows: Any) -> Table:
    return tuple(map(tuple, rows.tolist()))


def spoilers(sums: Sums, base: str, models: Sequence[str]) -> tuple[str, ...]:
    """Who has NaN or infinite entries: the base, or some of the models; none if all is well."""
    if not isfinite(sums.base):
        return (base,)
    return tuple(each for i, each in enumerate(models) if not isfinite(sums.dots[i][i]))
