"""Running a schedule: workers take strips in order, and decide nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Thread
from time import perf_counter
from typing import Any, Protocol

from mergegraph.dispatch import Dispatcher, Running, StoppedError
from mergegraph.errors import MergeGraphError, RunError
from mergegraph.kernels import Kernels
from mergegraph.machine import keep_freed_memory
from mergegraph.reading import Reader
from mergegraph.schedule import Pass, Schedule
from mergegraph.store import Store
from mergegraph.tasks import Task
from mergegraph.trace import NO_TRACE, Trace


class Sink(Protocol):
    """Where the strips of an output go."""

    def write(self, start: int, strip: Any) -> None:
        """Take the entries from `start` on; strips come in any order, from any thread."""

    def finish(self, digest: str) -> None:
        """Be told that all entries are there, and the SHA-256 of their bytes."""


Progress = Callable[[int, int], None]  # told the bytes just read and just written


def execute(
    schedule: Schedule,
    sinks: Sequence[Sink],
    progress: Progress | None = None,
    trace: Trace = NO_TRACE,
    *,
    is_compiled: bool = False,
) -> tuple[str, ...]:
    """Run a schedule into sinks, one for each of its outputs; gives the warnings of checks.

    Kernels that have a faster form are compiled meanwhile if `is_compiled`; the bits are the same.

    Raises MergeGraphError, with the tensor's name, if a kernel, a file or a check fails.
    """
    import torch

    threads = torch.get_num_threads()
    keep_freed_memory()
    tasks = (task for each in schedule.passes for task in each.steps) if is_compiled else ()
    kernels = Kernels(tasks, trace)
    with Reader() as reader:
        run = _Run(schedule, sinks, progress or (lambda *_: None), reader, kernels, trace)
        workers = [
            Thread(target=run.work, name=f"worker {i + 1}", daemon=True)
            for i in range(schedule.threads)
        ]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                while worker.is_alive():
                    worker.join(timeout=0.2)  # in pieces, so that Ctrl-C is heard everywhere
        except BaseException:
            run.dispatcher.stop()
            for worker in workers:
                worker.join()
            raise
        finally:
            torch.set_num_threads(threads)  # workers set it to one, for the whole process
    if run.error is not None:
        raise run.error
    return (*run.warnings, *kernels.failures)


class _Run:
    """What the workers share."""

    def __init__(
        self,
        schedule: Schedule,
        sinks: Sequence[Sink],
        progress: Progress,
        reader: Reader,
        kernels: Kernels,
        trace: Trace,
    ) -> None:
        self.sinks = sinks
        self.outputs = schedule.outputs
        self.checks = {check.task.key: check for check in schedule.checks}
        self.progress = progress
        self.reader = reader
        self.kernels = kernels
        self.trace = trace
        self.store = Store()
        self.dispatcher = Dispatcher(schedule, self.store)
        self.error: BaseException | None = None
        self.warnings: list[str] = []

    def work(self) -> None:
        """Take strips until there are none: the life of a worker."""
        import torch

        torch.set_num_threads(1)
        try:
            with torch.no_grad():
                while taken := self.take():
                    running, number = taken
                    results = self.compute(running, number)
                    with self.trace.span("merge"):
                        is_last = self.dispatcher.give_back(running, number, results)
                    if is_last:
                        with self.trace.span("conclude"):
                            self.conclude(running)
                        self.dispatcher.go_on(running)
        except StoppedError:
            return
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            self.error = self.error or error
            self.dispatcher.stop()

    def take(self) -> tuple[Running, int] | None:
        """The next strip to compute."""
        with self.trace.span("wait"):
            return self.dispatcher.take()

    def compute(self, running: Running, number: int) -> dict[str, Any]:
        """Run all steps on one strip; gives what folds and outputs made of it."""
        part = running.part
        start, stop = running.strips[number]
        values: dict[str, Any] = {}
        results: dict[str, Any] = {}
        keeps = {task.key for task in part.keeps}
        times = [perf_counter()]
        for task in part.held:
            values[task.key] = self.store[task.key].reshape(-1)[start:stop]
            self.write(part, task, start, values[task.key], results)
        for task, dropped in zip(part.steps, part.drops, strict=True):
            end = stop if task.is_scan else max(start, min(stop, task.spec.numel))
            if task.op.cut == "load":
                values[task.key] = self.reader.read(task.numbers["entry"], start, end)
            elif task.op.cut == "fold":
                strips = part.grid.fold_strips(start, stop)
                results[task.key] = [self.apply(part, task, values, start, *s) for s in strips]
            elif task.is_scan:
                own = self.apply(part, task, values, start, start, end)
                values[task.key] = self.dispatcher.before(running, number, task, own)
            else:
                values[task.key] = self.apply(part, task, values, start, start, end)
            if task.key in keeps:
                self.store.fill(task, start, values[task.key])
            self.write(part, task, start, values.get(task.key), results)
            for key in dropped:
                values.pop(key, None)
            times.append(perf_counter())
        self.tell(running, (start, stop), results, times)
        return results

    def tell(
        self,
        running: Running,
        strip: tuple[int, int],
        results: Mapping[str, Any],
        times: Sequence[float],
    ) -> None:
        """Let progress and trace know of a strip that is computed."""
        part = running.part
        start, stop = strip
        read = sum(
            max(0, min(stop, each.spec.numel) - start) * each.spec.itemsize for each in part.loads
        )
        written = sum(results[key].nbytes * len(numbers) for key, numbers in part.writes.items())
        self.progress(read, written)
        if self.trace.is_wanted:
            facts = {"unit": running.number, "pass": running.at, "start": start, "stop": stop}
            self.trace.add("strip", times[0], times[-1], {**facts, "outputs": self.names(part)})
            for task, began, ended in zip(part.steps, times, times[1:], strict=False):
                self.trace.add(task.op.name.rpartition(".")[2], began, ended, {})

    def names(self, part: Pass) -> list[str]:
        """The outputs that a pass writes."""
        return [self.outputs[i].name for on in part.writes.values() for i in on]

    def apply(
        self, part: Pass, task: Task, values: Mapping[str, Any], first: int, start: int, stop: int
    ) -> Any:
        """A kernel on the entries from start to stop, of strips whose first entry is `first`."""
        given = []
        for each in task.inputs:
            if each.is_small or each.is_scan:
                given.append(self.store[each.key] if each.is_small else values[each.key])
                continue
            strip = values[each.key]
            if len(strip) != stop - start:
                strip = strip[start - first : stop - first]
            by_rows = task.op.cut == "rowwise"
            given.append(strip.reshape(-1, max(1, part.grid.row)) if by_rows else strip)
        result = self.call(task, given, start)
        if task.op.cut in ("fold", "scan"):
            return result
        result = result.reshape(-1)
        if len(result) != stop - start:
            fact = f"gave {len(result)} entries for a strip of {stop - start}"
            raise RunError(f"{task.op.name}: {fact}")
        return result

    def write(self, part: Pass, task: Task, start: int, strip: Any, results: Any) -> None:
        """Hand a strip to the outputs that it is for."""
        if task.key in part.writes:
            results[task.key] = strip.contiguous()
            for number in part.writes[task.key]:
                self.sinks[number].write(start, results[task.key])

    def conclude(self, running: Running) -> None:
        """After the last strip of a pass: folds and whole tasks to the store, digests to sinks."""
        for task in running.part.folds:
            self.keep(task, task.op.finish(running.partials[task.key]))
        for task in running.part.then:
            self.keep(task, self.call(task, [self.value(each) for each in task.inputs], 0))
        for number, digest in running.digests.items():
            self.sinks[number].finish(digest.hexdigest())
        for key in running.part.frees:
            self.store.free(key)

    def value(self, task: Task) -> Any:
        """A value from the store, in its shape."""
        value = self.store[task.key]
        return value if task.is_small else value.reshape(task.spec.shape)

    def keep(self, task: Task, value: Any) -> None:
        """Put a value into the store, and look at it if it is a check."""
        check = self.checks.get(task.key)
        if check is not None and value.any():
            told = f"{check.fact} ({int(value.sum())} of them)"
            if check.is_fatal:
                raise RunError(told)
            self.warnings.append(told)
        self.store.put(task, value)

    def call(self, task: Task, given: Sequence[Any], start: int) -> Any:
        """A task's kernel on its inputs; raises RunError naming the op if it fails."""
        position = {"start": start} if task.op.positioned else {}
        try:
            return self.kernels.of(task)(*given, **task.numbers, **position)
        except MergeGraphError:
            raise
        except Exception as error:
            raise RunError(f"{task.op.name}: {type(error).__name__}: {error}") from error
