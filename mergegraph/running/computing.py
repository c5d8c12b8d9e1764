"""Computing a strip: the steps of a pass, one after another, on some entries of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

from mergegraph.errors import KernelError, MergeGraphError, failed
from mergegraph.files.reading import Reader
from mergegraph.running.blocks import Desk, Room, Ties, run
from mergegraph.running.fusing import Segment, fuse
from mergegraph.running.kernels import Kernels
from mergegraph.running.places import Place
from mergegraph.running.store import Store
from mergegraph.scheduling.schedule import Pass
from mergegraph.spec import Spec
from mergegraph.tasks import Task


class Sink(Protocol):
    """Where the strips of an output go."""

    def write(self, start: int, strip: Any) -> None:
        """Take the entries from `start` on; strips come in any order, from any thread."""

    def finish(self, digest: str) -> None:
        """Be told that all entries are there, and the SHA-256 of their bytes."""


@dataclass
class Strip:
    """A strip in the making: its values so far, and what folds and outputs made of it."""

    part: Pass
    start: int
    stop: int
    desk: Desk
    values: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    marks: list[tuple[str, float]] = field(default_factory=list)

    def entries(self, task: Task) -> tuple[int, int]:
        """Which entries of a task it has: fewer where the tensor ends before it does."""
        return self.start, max(self.start, min(self.stop, task.spec.numel))

    def mark(self, name: str) -> None:
        """Note what was done until now."""
        self.marks.append((name, perf_counter()))


Before = Callable[[Task, Any], Any]  # what a scan came to before a strip, which gives its own


@dataclass(frozen=True)
class Computer:
    """What it takes to compute strips; the workers share it."""

    reader: Reader
    store: Store
    kernels: Kernels
    place: Place
    sinks: Sequence[Sink]

    def programs(self, part: Pass) -> tuple[Segment, ...]:
        """The programs of a pass; none where there is nothing to run them."""
        if self.kernels.machine is None or not self.place.is_host:
            return ()
        return fuse(part, lambda task: self.store[task.key])

    def compute(self, strip: Strip, before: Before, programs: tuple[Segment, ...]) -> None:
        """Run all steps of the pass on a strip, by its programs if it has any."""
        strip.mark("start")
        if programs and strip.start < strip.stop:
            self.compute_fused(strip, before, programs)
        else:
            self.compute_plainly(strip, before)

    def compute_plainly(self, strip: Strip, before: Before) -> None:
        """One step after the other."""
        keeps = {task.key for task in strip.part.keeps}
        for task in strip.part.held:
            strip.values[task.key] = self.place.take(self.held(strip, task))
            self.write(strip, task.key)
        for task, dropped in zip(strip.part.steps, strip.part.drops, strict=True):
            self.do(strip, task, before)
            if task.key in keeps:
                self.keep(strip, task)
            self.write(strip, task.key)
            for key in dropped:
                strip.values.pop(key, None)
            strip.mark(_short(task))

    def do(self, strip: Strip, task: Task, before: Before) -> None:
        """One step by its kernel."""
        if task.op.cut == "fold":
            strip.results[task.key] = self.folded(strip, task)
        else:
            strip.values[task.key] = self.made(strip, task, before)

    def compute_fused(self, strip: Strip, before: Before, programs: tuple[Segment, ...]) -> None:
        """The programs one after the other, and between them what plain kernels do."""
        assert self.kernels.machine is not None
        part, entries = strip.part, strip.stop - strip.start
        ready = [
            *part.held,
            *part.loads,
            *(t for p in programs for t in p.plain if t.op.cut != "fold"),
        ]
        inputs = Room.of("inputs", ready, entries, strip.desk)
        made = [task for segment in programs for task in segment.outputs]
        outputs = Room.of("outputs", made, entries, strip.desk)
        strip.values.update((task.key, inputs.strip(task, entries)) for task in ready)
        strip.values.update((task.key, outputs.strip(task, entries)) for task in made)
        for task in part.held:
            strip.values[task.key].copy_(self.held(strip, task))
        for task in part.loads:
            room, entry, rows = strip.values[task.key], task.numbers["entry"], task.numbers["rows"]
            self.reader.fill(room, entry, strip.start, rows)
            strip.mark("load")
        ties: dict[str, Ties] = {}
        for segment in programs:
            bounds = (strip.start, strip.stop)
            found = run(self.kernels.machine, segment, inputs, outputs, ties, bounds, strip.desk)
            strip.results.update((task.key, [value]) for task, value in found.folds)
            strip.mark("fused")
            for task, own, places in found.own:
                ties[task.key] = Ties(before(task, own), own, places)
            for task in segment.plain:
                room = strip.values.get(task.key)
                self.do(strip, task, before)
                if room is not None:
                    strip.values[task.key] = room.copy_(strip.values[task.key])
                strip.mark(_short(task))
        for task in part.keeps:
            self.keep(strip, task)
        strip.mark("keep")
        for key in part.writes:  # what waits for its turn to be hashed must not lie on the desk
            strip.values[key] = strip.values[key].clone()
            self.write(strip, key)
        strip.mark("hand in")

    def held(self, strip: Strip, task: Task) -> Any:
        """A strip of a tensor in the store."""
        return self.store[task.key].reshape(-1)[strip.start : strip.stop]

    def keep(self, strip: Strip, task: Task) -> None:
        """Put a strip into the store."""
        self.store.fill(task, strip.start, self.place.give(strip.values[task.key]))

    def folded(self, strip: Strip, task: Task) -> list[Any]:
        """What a fold makes of a strip: of its parts, where the sum depends on how it is cut."""
        parts = [(strip.start, strip.stop)]
        if not task.spec.dtype.startswith("int"):
            parts = strip.part.grid.fold_strips(strip.start, strip.stop)
        return [self.place.give(self.applied(strip, task, *each)) for each in parts]

    def made(self, strip: Strip, task: Task, before: Before) -> Any:
        """The entries of a step, or what those before it came to."""
        if task.op.cut == "load":
            entry, rows = task.numbers["entry"], task.numbers["rows"]
            return self.place.load(self.reader, entry, *strip.entries(task), rows)
        if task.is_scan:
            own = self.applied(strip, task, strip.start, strip.stop)
            return self.place.take(before(task, self.place.give(own)))
        start, stop = strip.entries(task)
        result = self.applied(strip, task, start, stop).reshape(-1)
        found = Spec.of(result)
        if found.numel != stop - start or found.dtype != task.spec.dtype:
            fact = f"gave {found.numel} entries of {found.dtype} for a strip of {stop - start}"
            raise KernelError(f"{task.op.name}: {fact} of {task.spec.dtype}")
        return result

    def applied(self, strip: Strip, task: Task, start: int, stop: int) -> Any:
        """A kernel on the entries from start to stop."""
        given = []
        for each in task.inputs:
            if each.is_small:
                given.append(self.place.take(self.store[each.key]))
            elif each.is_scan:
                given.append(strip.values[each.key])
            else:
                given.append(self.cut(strip, task, each, start, stop))
        return self.called(self.kernels.of(task, self.place), task, given, start)

    def cut(self, strip: Strip, task: Task, each: Task, start: int, stop: int) -> Any:
        """The entries of an input from start to stop, as the op wants them."""
        value = strip.values[each.key]
        if len(value) != stop - start:
            value = value[start - strip.start : stop - strip.start]
        if task.op.cut == "rowwise":
            return value.reshape(-1, max(1, each.spec.row))
        return value

    def whole(self, task: Task) -> Any:
        """The value of a task whose inputs are in the store, all of them."""
        if any(not each.is_small for each in task.inputs):
            self.store.trim(0)  # what the kernel allocates was counted, spare room was not
        given = [self.kept(each) for each in task.inputs]
        value = self.called(task.op.kernel, task, given, 0)
        if task.op.gathers:  # of a small tensor: all of it is one strip, and none is before it
            value = task.op.finish(value) if task.op.cut == "fold" else value * 0
        value = self.checked(task, value.contiguous())
        places = {each.untyped_storage().data_ptr() for each in given}
        # the room of an input is used again: a view of it would change
        return value.clone() if value.untyped_storage().data_ptr() in places else value

    def checked(self, task: Task, value: Any) -> Any:
        """A value that is all there; raises KernelError if it is not what its op said of it."""
        spec = Spec.of(_tensor(task, value))
        if spec != task.spec:
            raise KernelError(f"{task.op.name}: gave {spec} where it was to give {task.spec}")
        return value

    def kept(self, task: Task) -> Any:
        """A value from the store, in its shape."""
        value = self.store[task.key]
        return value if task.is_small else value.reshape(task.spec.shape)

    def called(
        self, kernel: Callable[..., Any], task: Task, given: Sequence[Any], start: int
    ) -> Any:
        """A kernel on what it is given; raises KernelError if it fails."""
        numbers: Mapping[str, Any] = task.numbers
        if task.op.positioned:
            numbers = {**numbers, "start": start}
        try:
            value = kernel(*given, **numbers)
        except MergeGraphError as error:
            raise KernelError(str(error)) from error
        except (Exception, SystemExit) as error:
            raise failed(task.op.name, error) from error
        return value if task.op.cut == "fold" else _tensor(task, value)

    def write(self, strip: Strip, key: str) -> None:
        """Hand a strip to the outputs that it is for."""
        if key in strip.part.writes:
            strip.results[key] = self.place.give(strip.values[key])
            for number in strip.part.writes[key]:
                self.sinks[number].write(strip.start, strip.results[key])


def _tensor(task: Task, value: Any) -> Any:
    """A value that is a tensor; raises KernelError if it is anything else."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise KernelError(f"{task.op.name}: gave {type(value).__name__} in place of a tensor")
    return value


def _short(task: Task) -> str:
    return task.op.name.rpartition(".")[2]
