"""Running a schedule: workers take strips in order, and decide nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Condition, Thread
from typing import Any, Protocol

from mergegraph.errors import MergeGraphError, RunError
from mergegraph.findings import Check
from mergegraph.reading import Reader
from mergegraph.schedule import WINDOW, Pass, Schedule, Unit
from mergegraph.store import Store
from mergegraph.tasks import Task


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
    checks: Sequence[Check] = (),
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Run a schedule into sinks, one for each of its outputs; gives the warnings of checks.

    Raises MergeGraphError, with the tensor's name, if a kernel, a file or a check fails.
    """
    with Reader() as reader:
        run = _Run(schedule, sinks, checks, progress or (lambda _read, _written: None), reader)
        workers = [Thread(target=run.work, daemon=True) for _ in range(schedule.threads)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                while worker.is_alive():
                    worker.join(timeout=0.2)
        except BaseException:
            run.stop()
            for worker in workers:
                worker.join()
            raise
    if run.error is not None:
        raise run.error
    return tuple(run.warnings)


@dataclass
class _Collector:
    """Puts what strips gave back into their order: folds merged, outputs hashed."""

    part: Pass
    partials: dict[str, Any] = field(default_factory=dict)
    digests: dict[int, Any] = field(default_factory=dict)
    waiting: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    next: int = 0
    is_busy: bool = False

    def merge(self, results: Mapping[str, Any]) -> None:
        for task in self.part.steps:
            for value in results.get(task.key, ()) if task.op.cut == "fold" else ():
                known = self.partials.get(task.key)
                self.partials[task.key] = value if known is None else task.op.combine(known, value)
        for key, numbers in self.part.writes.items():
            for number in numbers:
                self.digests.setdefault(number, sha256()).update(_bytes(results[key]))


@dataclass
class _Running:
    """A unit at work: the pass it is in, and the strips that are still to be handed out."""

    unit: Unit
    number: int
    at: int = -1
    strips: list[tuple[int, int]] = field(default_factory=list)
    handed: int = 0
    merged: int = 0
    collector: _Collector | None = None

    @property
    def part(self) -> Pass:
        return self.unit.passes[self.at]


class _Run:
    """What the workers share."""

    def __init__(
        self,
        schedule: Schedule,
        sinks: Sequence[Sink],
        checks: Sequence[Check],
        progress: Progress,
        reader: Reader,
    ) -> None:
        self.schedule = schedule
        self.sinks = sinks
        self.checks = {check.task.key: check for check in checks}
        self.progress = progress
        self.reader = reader
        self.store = Store()
        self.condition = Condition()
        self.running: list[_Running] = []
        self.admitted = 0
        self.done: set[int] = set()
        self.taken = 0
        self.stopped = False
        self.error: BaseException | None = None
        self.warnings: list[str] = []

    def stop(self, error: BaseException | None = None) -> None:
        """Let every worker end after the strip it has in hand."""
        with self.condition:
            self.stopped = True
            if self.error is None:
                self.error = error
            self.condition.notify_all()

    def work(self) -> None:
        """Take strips until there are none: the life of a worker."""
        import torch

        torch.set_num_threads(1)
        try:
            with torch.no_grad():
                while job := self.take():
                    self.run(*job)
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            self.stop(error)

    # -- handing out -------------------------------------------------------------------------

    def take(self) -> tuple[_Running, int] | None:
        """The next strip to compute, of the earliest unit that has one; None at the end."""
        with self.condition:
            while not self.stopped:
                for running in self.running:
                    ahead = running.handed - running.merged
                    if (
                        running.handed < len(running.strips)
                        and ahead <= WINDOW * self.schedule.threads
                    ):
                        running.handed += 1
                        return running, running.handed - 1
                if self.admit():
                    continue
                if len(self.done) == len(self.schedule.units):
                    return None
                self.condition.wait()
            return None

    def admit(self) -> bool:
        """Let the next unit start, if what it needs is there and its values find room."""
        if self.admitted == len(self.schedule.units):
            return False
        unit = self.schedule.units[self.admitted]
        fits = not self.running or self.taken + unit.nbytes <= self.schedule.room
        crowded = len(self.running) > self.schedule.threads
        if crowded or not fits or not self.done.issuperset(unit.needs):
            return False
        running = _Running(unit, self.admitted)
        self.admitted += 1
        self.taken += unit.nbytes
        self.running.append(running)
        self.enter_next(running)
        return True

    def enter_next(self, running: _Running) -> None:
        """Go on to the next pass of a unit, or end it."""
        running.at += 1
        if running.at == len(running.unit.passes):
            self.running.remove(running)
            self.taken -= running.unit.nbytes
            self.done.add(running.number)
        else:
            for task in running.part.keeps:
                self.store.make_room(task)
            running.collector = _Collector(running.part)
            running.strips = running.part.grid.strips()
            running.handed = running.merged = 0
        self.condition.notify_all()

    # -- computing ---------------------------------------------------------------------------

    def run(self, running: _Running, number: int) -> None:
        """Compute one strip, and see to what is in turn then."""
        part = running.part
        results = self.compute(part, *running.strips[number])
        collector = running.collector
        assert collector is not None
        with self.condition:
            collector.waiting[number] = results
            if collector.is_busy:
                return
            collector.is_busy = True
        while True:
            with self.condition:
                if collector.next not in collector.waiting:
                    collector.is_busy = False
                    if collector.next < len(running.strips):
                        return
                    break
                in_turn = collector.waiting.pop(collector.next)
                collector.next += 1
            collector.merge(in_turn)
            with self.condition:
                running.merged += 1
                self.condition.notify_all()
        self.conclude(part, collector)
        with self.condition:
            self.enter_next(running)

    def compute(self, part: Pass, start: int, stop: int) -> dict[str, Any]:
        """The values of all steps on one strip; gives what folds and outputs made of it."""
        values: dict[str, Any] = {}
        results: dict[str, Any] = {}
        keeps = {task.key for task in part.keeps}
        read = 0
        for task in part.held:
            values[task.key] = self.store[task.key].reshape(-1)[start : min(stop, task.spec.numel)]
            if task.key in part.writes:
                self.write(part, task, start, values[task.key], results)
        for task, dropped in zip(part.steps, part.drops, strict=True):
            end = min(stop, task.spec.numel)
            if task.op.cut == "load":
                values[task.key] = self.reader.read(task.numbers["entry"], start, end)
                read += values[task.key].nbytes
            elif task.op.cut == "fold":
                strips = part.grid.fold_strips(start, end)
                results[task.key] = [
                    self.apply(part, task, values, start, *each) for each in strips
                ]
            else:
                values[task.key] = self.apply(part, task, values, start, start, end)
            if task.key in keeps:
                self.store.fill(task, start, values[task.key])
            if task.key in part.writes:
                self.write(part, task, start, values[task.key], results)
            for key in dropped:
                values.pop(key, None)
        written = sum(results[key].nbytes * len(numbers) for key, numbers in part.writes.items())
        self.progress(read, written)
        return results

    def apply(
        self, part: Pass, task: Task, values: Mapping[str, Any], first: int, start: int, stop: int
    ) -> Any:
        """A kernel on the entries from start to stop, of strips whose first entry is `first`."""
        by_rows = task.op.cut == "rowwise"
        given = []
        for each in task.inputs:
            if each.is_small:
                given.append(self.store[each.key])
                continue
            strip = values[each.key][start - first : stop - first]
            given.append(strip.reshape(-1, part.grid.row) if by_rows else strip)
        result = self.call(task, given, {"start": start} if task.op.positioned else {})
        if task.op.cut == "fold":
            return result
        result = result.reshape(-1)
        if result.numel() != stop - start:
            raise RunError(
                f"{task.op.name}: gave {result.numel()} entries for a strip of {stop - start}"
            )
        return result

    def call(self, task: Task, given: Sequence[Any], position: Mapping[str, int]) -> Any:
        try:
            return task.op.kernel(*given, **task.numbers, **position)
        except MergeGraphError:
            raise
        except Exception as error:
            raise RunError(f"{task.op.name}: {type(error).__name__}: {error}") from error

    def write(
        self, part: Pass, task: Task, start: int, strip: Any, results: dict[str, Any]
    ) -> None:
        strip = strip.contiguous()
        for number in part.writes[task.key]:
            self.sinks[number].write(start, strip)
        results[task.key] = strip

    def conclude(self, part: Pass, collector: _Collector) -> None:
        """After the last strip: folds into the store, whole tasks, checks, digests."""
        for task in part.steps:
            if task.op.cut == "fold":
                self.keep(task, collector.partials[task.key])
        for task in part.then:
            given = [self.value(each) for each in task.inputs]
            self.keep(task, self.call(task, given, {"start": 0} if task.op.positioned else {}))
        for number, digest in collector.digests.items():
            self.sinks[number].finish(digest.hexdigest())
        for key in part.frees:
            self.store.free(key)

    def value(self, task: Task) -> Any:
        """A value from the store, in its shape."""
        value = self.store[task.key]
        return value if task.is_small else value.reshape(task.spec.shape)

    def keep(self, task: Task, value: Any) -> None:
        check = self.checks.get(task.key)
        if check is not None and value.any():
            told = f"{check.fact} ({int(value.sum())} of them)"
            if check.is_fatal:
                raise RunError(told)
            self.warnings.append(told)
        self.store.put(task, value)


def _bytes(strip: Any) -> memoryview:
    """The bytes of a contiguous strip."""
    import torch

    return memoryview(strip.view(torch.uint8).numpy()) if strip.numel() else memoryview(b"")
