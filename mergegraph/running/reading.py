"""Readings: values that stay in memory, planned together, and computed while inputs are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergegraph.files.trees import OnBytes
from mergegraph.plans import Directory, Output, Plan
from mergegraph.running.execute import Progress, execute
from mergegraph.running.fetching import Wanted, fetch, needed, streamed
from mergegraph.running.places import Place
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.fitting import Reserve, nothing
from mergegraph.scheduling.schedule import TOGETHER_ON_CPU, Schedule, make_schedule
from mergegraph.tasks import Task

_MEMORY = Path("memory")  # the directory of what is not written


@dataclass(frozen=True)
class Reading:
    """What is to be computed in memory, in which order, and the files that it takes."""

    plan: Plan
    schedule: Schedule
    wanted: tuple[Wanted, ...] = ()
    is_compiled: bool = False

    @property
    def fetch_nbytes(self) -> int:
        """The bytes of files that are brought before the reading."""
        return sum(each.nbytes for each in self.wanted)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know before the reading."""
        return (*self.plan.notes, *(each.note for each in self.wanted))


def in_memory(name: str, task: Task) -> Output:
    """An output that is not written; its name is for people."""
    return Output(_MEMORY, name, task)


def make_reading(
    plan: Plan,
    *,
    budget: int,
    threads: int,
    together: int = TOGETHER_ON_CPU,
    reserve: Reserve = nothing,
    is_streamed: bool = False,
    unfinished: Sequence[Directory] = (),
) -> Reading:
    """A plan as a reading; nothing is read yet.

    Side files of `unfinished` directories are fetched, too. Raises MergeGraphError if the plan does
    not fit the budget.
    """
    schedule = make_schedule(
        plan, budget=budget, threads=threads, together=together, reserve=reserve
    )
    return Reading(plan, schedule, needed(plan, schedule, unfinished, is_streamed=is_streamed))


def gather(
    reading: Reading,
    progress: Progress | None = None,
    fetching: OnBytes | None = None,
    *,
    place: Place | None = None,
    into: Sequence[Any] = (),
) -> list[Any]:
    """Fetch what is not on disk, and read."""
    fetch(reading.wanted, fetching)
    return read(reading, progress, place=place, into=into)


def read(
    reading: Reading,
    progress: Progress | None = None,
    *,
    place: Place | None = None,
    into: Sequence[Any] = (),
) -> list[Any]:
    """The tensors of a plan's outputs, in order; what they read must be there, or be streamed.

    They are put `into` tensors that are given, where these are not None. Raises RunError, or
    MergeGraphError with a tensor's name, if a file, a kernel or a check fails.
    """
    outputs = reading.plan.outputs
    given = into or [None] * len(outputs)
    sinks = [TensorSink(o.task.spec, own) for o, own in zip(outputs, given, strict=True)]
    with streamed(reading.wanted, reading.schedule) as streams:
        execute(
            reading.schedule,
            sinks,
            progress,
            place=place,
            is_compiled=reading.is_compiled,
            streams=streams,
        )
    return [each.tensor for each in sinks]
