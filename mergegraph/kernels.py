"""The kernels of a run: plain ones, until faster ones of the same bits are compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any

from mergegraph.tasks import Op, Task
from mergegraph.trace import NO_TRACE, Trace

Kernel = Callable[..., Any]
_Kind = tuple[Op, int]  # an op, and how many inputs it has


class Kernels:
    """What to call for a task. Compiling goes on beside the run, which does not wait for it."""

    def __init__(self, tasks: Iterable[Task], trace: Trace = NO_TRACE) -> None:
        self._fast: dict[_Kind, Kernel] = {}
        self.failures: list[str] = []
        kinds = tuple(dict.fromkeys((task.op, len(task.inputs)) for task in tasks if task.op.fast))
        if kinds:
            compiling = Thread(target=self._compile, args=(kinds, trace), name="compiler")
            compiling.daemon = True
            compiling.start()

    def of(self, task: Task) -> Kernel:
        """The kernel for a task, as good as there is by now."""
        if task.op.fast is None:
            return task.op.kernel
        return self._fast.get((task.op, len(task.inputs)), task.op.kernel)

    def _compile(self, kinds: Iterable[_Kind], trace: Trace) -> None:
        for op, inputs in kinds:
            assert op.fast is not None
            try:
                with trace.span("compile", op=op.name, inputs=inputs):
                    self._fast[op, inputs] = op.fast(inputs)
            except Exception as error:  # noqa: BLE001 - the plain kernel does the same
                self.failures.append(f"{op.name}: cannot be compiled, done without: {error}")
