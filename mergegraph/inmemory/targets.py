"""Targets: tensors in memory whose place the results of a merge take, one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any

from mergegraph.errors import MergeGraphError, Problem, ProblemsError, RunError
from mergegraph.inmemory.overwriting import late_ones
from mergegraph.inmemory.states import State, are_one, few, place_of, state_of
from mergegraph.models.model import Model
from mergegraph.plans import Output
from mergegraph.scheduling.schedule import Schedule
from mergegraph.spec import Spec

INTO = "into"


class PartlyWrittenError(RunError):
    """A merge that failed when some targets had been written; `written` has their names."""

    def __init__(self, error: MergeGraphError, written: tuple[str, ...], count: int) -> None:
        self.written = written
        told = f"{len(written)} of the {count} tensors of into are written already, {few(written)}"
        super().__init__(f"{error}; {told}; load it anew")


class TargetSink:
    """The sink of an output that takes the place of what a tensor holds, once it is complete.

    Until then its strips are beside the tensor, which may be one of the inputs. One that is `late`
    waits there until it is told to land.
    """

    def __init__(self, name: str, target: Any, *, is_late: bool = False) -> None:
        self.name = name
        self.target = target
        self.is_late = is_late
        self.is_written = False
        self._room: Any = None
        self._lock = Lock()

    def write(self, start: int, strip: Any) -> None:
        """Put a strip beside the tensor."""
        self._made_room()[start : start + strip.numel()] = strip

    def finish(self, digest: str) -> None:  # noqa: ARG002 - files are told it
        """Put all of it in place, unless it is late."""
        if not self.is_late:
            self.land()

    def land(self) -> None:
        """Put all of it in place."""
        import torch

        with torch.no_grad():
            self.target.copy_(self._made_room().view(self.target.shape))
        self._room = None
        self.is_written = True

    def _made_room(self) -> Any:
        import torch

        with self._lock:
            if self._room is None:
                self._room = torch.empty(self.target.numel(), dtype=self.target.dtype)
            return self._room


def targets_of(given: Any) -> dict[str, Any]:
    """The tensors to be written, by name; raises MergeGraphError where they are not its own."""
    state = state_of(INTO, given)
    if hasattr(given, "parameters") and hasattr(given, "buffers"):
        own = {_storage(each) for each in (*given.parameters(), *given.buffers())}
        copies = [
            name for name, each in state.items() if each.numel() and _storage(each) not in own
        ]
        if copies:
            fact = f"its state dict holds a copy of {few(copies)}"
            raise MergeGraphError(
                f"merge: into: {fact}, so that nothing written there would reach it; "
                "merge without into, and have it load the result"
            )
    return state


def fitted(model: Model, targets: State, tied: Mapping[str, str]) -> Model:
    """What is merged, as it goes into targets: floats in their dtypes, tied tensors where apart."""
    apart = {
        name: leader
        for name, leader in tied.items()
        if leader in model.tensors and name in targets and not are_one(targets, leader, name)
    }
    tensors = {**model.tensors, **{name: model.tensors[apart[name]] for name in apart}}
    stored = {**model.stored, **{name: model.stored[apart[name]] for name in apart}}
    wanted = {name: Spec.of(targets[name]) for name in tensors if name in targets}
    floats = {name: spec.dtype for name, spec in wanted.items() if spec.is_float}
    return replace(model, tensors=tensors, stored={**stored, **floats})


def check_targets(outputs: Sequence[Output], targets: State) -> None:
    """Refuse targets that outputs do not fit into; raises MergeGraphError with all problems."""
    given = {output.name: output.task.spec for output in outputs}
    facts = list(_misfits(given, targets))
    for name, spec in given.items():
        if name not in targets:
            continue
        target = Spec.of(targets[name])
        if target.shape != spec.shape:
            facts.append(f"{name} has the shape {target.shape}, what is merged {spec.shape}")
        elif target.dtype != spec.dtype:
            facts.append(f"{name} is {target.dtype}, what is merged {spec.dtype}")
        elif not _can_be_written(targets[name]):
            facts.append(f"{name} cannot be written: it is expanded, or made in inference mode")
    if facts:
        raise ProblemsError(Problem("merge: into", fact) for fact in facts)


def sinks_of(schedule: Schedule, targets: State) -> list[TargetSink]:
    """A sink for each output of a schedule."""
    names = [output.name for output in schedule.outputs]
    late = late_ones(schedule, [targets[name] for name in names])
    return [
        TargetSink(name, targets[name], is_late=number in late) for number, name in enumerate(names)
    ]


@contextmanager
def telling(sinks: Sequence[TargetSink]) -> Iterator[None]:
    """Have an error tell the targets that were written before it."""
    try:
        yield
    except MergeGraphError as error:
        written = tuple(sink.name for sink in sinks if sink.is_written)
        if not written:
            raise
        raise PartlyWrittenError(error, written, len(sinks)) from error


def _misfits(outputs: Collection[str], targets: State) -> Iterator[str]:
    """What is wrong with the names of the targets."""
    if lacking := [name for name in outputs if name not in targets]:
        yield f"has no {few(lacking)}, which the models have{_hint(lacking, targets)}"
    places: dict[Any, str] = {}
    for name in targets:
        if name in outputs:
            leader = places.setdefault(place_of(targets[name]), name)
            if leader != name:
                yield f"{leader} and {name} are one tensor there, but not in every model"
    extra = [
        name for name in targets if name not in outputs and place_of(targets[name]) not in places
    ]
    if extra:
        yield f"has {few(extra)}, which the models do not have{_hint(targets, outputs)}"


def _hint(names: Collection[str], others: Collection[str]) -> str:
    """A remedy where a wrapper has changed the names of a part."""
    mark = "_orig_mod."
    is_marked = any(mark in each for each in (*names, *others))
    return f"; names with '{mark}' are those of torch.compile" if is_marked else ""


def _can_be_written(target: Any) -> bool:
    is_expanded = any(
        size > 1 and not stride for size, stride in zip(target.shape, target.stride(), strict=True)
    )
    return not is_expanded and not target.is_inference()


def _storage(tensor: Any) -> tuple[Any, int]:
    return tensor.device, tensor.untyped_storage().data_ptr()
