"""The kernels of a run: plain ones, or those that are compiled first and give the same bits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from mergegraph.running.places import Place
from mergegraph.tasks import Op, Task
from mergegraph.trace import NO_TRACE, Trace

Kernel = Callable[..., Any]


class Kernels:
    """What to call for a task, and the machine that runs `instructions` if there is one."""

    def __init__(self, ops: Collection[Op] = (), trace: Trace = NO_TRACE) -> None:
        """Compile what these ops can use; takes seconds. What fails is told, and done without."""
        self._fast: dict[Op, Kernel] = {}
        self.machine: Kernel | None = None
        self.failures: list[str] = []
        for op in sorted(ops, key=lambda each: each.name):
            if op.fast is not None:
                with trace.span("compile", op=op.name), self._told(op.name):
                    self._fast[op] = op.fast()
        if any(op.code for op in ops):
            with trace.span("compile", op="machine"), self._told("the machine for fused passes"):
                from mergegraph import loops

                self.machine = loops.compiled(loops.run, loops.RUN)

    def of(self, task: Task, place: Place) -> Kernel:
        """The kernel for a task in a place."""
        if not place.is_host:
            return task.op.device or task.op.kernel
        return self._fast.get(task.op, task.op.kernel)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - plain kernels do the same
            self.failures.append(f"{what}: cannot be compiled, done without: {error}")
