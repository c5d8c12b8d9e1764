"""Running a schedule: workers take strips in order, and decide nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

from mergegraph.errors import KernelError, RunError
from mergegraph.files.reading import Reader, Stream
from mergegraph.findings import CheckError, warnings_of
from mergegraph.machine import keep_freed_memory
from mergegraph.running.blocks import Desk
from mergegraph.running.computing import Computer, Sink, Strip
from mergegraph.running.dispatch import Dispatcher, Running, StoppedError
from mergegraph.running.kernels import Kernels
from mergegraph.running.milestones import NOTHING_LEFT, Courses, Left, Log
from mergegraph.running.places import Host, Place
from mergegraph.running.store import Store
from mergegraph.scheduling.schedule import Pass, Schedule
from mergegraph.tasks import Task
from mergegraph.trace import NO_TRACE, Trace

Progress = Callable[[int, int], None]  # told the bytes just read and just written


def execute(
    schedule: Schedule,
    sinks: Sequence[Sink],
    progress: Progress | None = None,
    trace: Trace = NO_TRACE,
    *,
    place: Place | None = None,
    is_compiled: bool = False,
    streams: Mapping[Path, Stream] | None = None,
    left: Left = NOTHING_LEFT,
    log: Log | None = None,
) -> tuple[str, ...]:
    """Run a schedule into sinks, one for each of its outputs; gives the warnings of checks.

    Strips are computed in `place`, by default main memory. Kernels that have a faster form are
    compiled first if `is_compiled`; the bits are the same. Files that have a stream are read
    through it. Work goes on from what an earlier run `left`, and the `log` is told what a later one
    can go on from. Raises MergeGraphError, with the tensor's name, if a kernel, a file or a check
    fails.
    """
    import torch

    threads = torch.get_num_threads()
    keep_freed_memory(schedule.threads)
    kernels = Kernels(schedule.ops if is_compiled else (), trace)
    with Reader(streams or {}) as reader:
        computer = Computer(reader, Store(), kernels, place or Host(), sinks)
        courses = Courses(schedule.outputs, left, log)
        run = _Run(schedule, computer, courses, progress or (lambda *_: None), trace)
        run.recall(left.values)
        ends: list[Event] = []
        try:
            for i in range(schedule.threads):
                end = Event()
                Thread(target=run.work, args=(end,), name=f"worker {i + 1}", daemon=True).start()
                ends.append(end)
            for end in ends:
                while not end.wait(timeout=0.2):  # in pieces, so that Ctrl-C is heard everywhere
                    pass
        except BaseException:
            run.dispatcher.stop()
            for end in ends:
                end.wait()  # threads are not joined: a join that is interrupted takes them for dead
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
        computer: Computer,
        courses: Courses,
        progress: Progress,
        trace: Trace,
    ) -> None:
        self.schedule = schedule
        self.outputs = schedule.outputs
        self.checks: dict[str, list[int]] = {}
        for i, check in enumerate(schedule.checks):
            self.checks.setdefault(check.task.key, []).append(i)
        self.computer = computer
        self.store = computer.store
        self.progress = progress
        self.trace = trace
        self.courses = courses
        self.dispatcher = Dispatcher(schedule, self.store, courses)
        self.error: BaseException | None = None
        self.found: dict[int, int] = {}  # checks that are not zero, and are not fatal

    def recall(self, values: Mapping[str, Any]) -> None:
        """Put values that an earlier run came to into the store, and look at checks among them."""
        for key in sorted(self.schedule.given):
            self.store.restore(key, values[key])
            self.look(key, values[key])

    def work(self, end: Event) -> None:
        """Take strips until there are none: the life of a worker, whose end is told."""
        import torch

        torch.set_num_threads(1)
        try:
            with self.computer.place.at_work():
                desk = Desk()
                while taken := self.take():
                    with self.naming(taken[0]):
                        self.advance(*taken, desk)
        except StoppedError:
            return
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            self.error = self.error or error
            self.dispatcher.stop()
        finally:
            end.set()

    @contextmanager
    def naming(self, running: Running) -> Iterator[None]:
        """Say of a kernel that fails which tensors it was for."""
        try:
            yield
        except KernelError as error:
            names = self.names_of(running.unit.passes) or ["all tensors together"]
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise RunError(f"{names[0]}{more}: {error}") from error

    def names_of(self, passes: Iterable[Pass]) -> list[str]:
        """The outputs that passes write."""
        return [self.outputs[i].name for p in passes for on in p.writes.values() for i in on]

    def take(self) -> tuple[Running, int] | None:
        """The next strip to compute."""
        with self.trace.span("wait"):
            return self.dispatcher.take()

    def advance(self, running: Running, number: int, desk: Desk) -> None:
        """Compute a strip, and conclude the pass if it was the last one."""
        strip = Strip(running.part, *running.strips[number], desk)
        if running.programs is None:
            running.programs = self.computer.programs(running.part)
        self.computer.compute(
            strip,
            lambda task, own: self.dispatcher.before(running, number, task, own),
            running.programs,
        )
        self.tell(running, strip)
        with self.trace.span("merge"):
            is_last = self.dispatcher.give_back(running, number, strip.results)
        if is_last:
            with self.trace.span("conclude"):
                self.conclude(running)
            self.dispatcher.go_on(running)

    def tell(self, running: Running, strip: Strip) -> None:
        """Let progress and trace know of a strip that is computed."""
        part = strip.part
        spans = [(*strip.entries(each), each.spec.itemsize) for each in part.loads]
        read = sum((stop - start) * itemsize for start, stop, itemsize in spans)
        written = sum(strip.results[key].nbytes * len(on) for key, on in part.writes.items())
        self.progress(read, written)
        if self.trace.is_wanted:
            self.mark(running, strip)

    def mark(self, running: Running, strip: Strip) -> None:
        """Add a strip to the trace, with what was done in it."""
        names = self.names_of([strip.part])
        facts = {"unit": running.number, "pass": running.at, "start": strip.start}
        first, *marks = strip.marks
        if marks:
            self.trace.add("strip", first[1], marks[-1][1], {**facts, "outputs": names})
        for (_, began), (name, ended) in pairwise(strip.marks):
            self.trace.add(name, began, ended, {})

    def conclude(self, running: Running) -> None:
        """After the last strip of a pass: folds and whole tasks to the store, digests to sinks."""
        for task in running.part.folds:
            self.keep(task, self.computer.checked(task, task.op.finish(running.partials[task.key])))
        for task in running.part.then:
            self.keep(task, self.computer.whole(task))
        self.note(running)
        for number, digest in running.digests.items():
            self.computer.sinks[number].finish(digest.hexdigest())
        for key in running.part.frees:
            self.store.free(key)

    def keep(self, task: Task, value: Any) -> None:
        """Put a value into the store, and look at it if it is a check."""
        self.look(task.key, value)
        self.store.put(task, value)

    def look(self, key: str, value: Any) -> None:
        """See whether what checks count is there."""
        if key in self.checks and value.any():
            for i in self.checks[key]:
                self.heed(i, int(value.sum()))

    def heed(self, number: int, count: int) -> None:
        """Note what a check found; raises CheckError if it is fatal."""
        check = self.schedule.checks[number]
        if check.is_fatal:
            raise CheckError(check, count)
        self.found[number] = count

    @property
    def warnings(self) -> Iterator[str]:
        """What checks found, in their own order."""
        found = sorted(self.found.items())
        return warnings_of((self.schedule.checks[i], count) for i, count in found)

    def note(self, running: Running) -> None:
        """Note the small values that a pass ended in: those needed later, and what was checked."""
        part = running.part
        made = {task.key for task in (*part.folds, *part.then) if task.is_small}
        later = made - (set(part.frees) - self.checks.keys())
        are_lent = any(key in self.dispatcher.takers for key in later) or any(
            self.store[key].any() for key in made & self.checks.keys()
        )
        values = {key: self.store[key] for key in sorted(later)}
        self.courses.note_values(running.course, values, are_lent=are_lent)
