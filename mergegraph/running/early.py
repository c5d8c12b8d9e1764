"""Values that are needed while planning: small tasks computed before the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mergegraph.library import Library
from mergegraph.planning.planned import whole_plan
from mergegraph.plans import Output
from mergegraph.running.execute import execute
from mergegraph.running.fetching import fetch, needed
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import make_schedule
from mergegraph.tasks import Task


def evaluated(tasks: Sequence[Task], library: Library, *, budget: int, threads: int) -> list[Any]:
    """The values of tasks, flat; what they read is fetched first where it is not on disk.

    Raises MergeGraphError if they do not fit the budget, or a kernel fails.
    """
    outputs = [Output(Path("early"), task.key, task) for task in tasks]
    made = whole_plan(outputs, [], [], library)
    schedule = make_schedule(made, budget=budget, threads=threads)
    fetch(needed(made, schedule, ()), lambda _nbytes: None)
    sinks = {each.name: TensorSink(each.task.spec) for each in schedule.outputs}
    execute(schedule, [sinks[each.name] for each in schedule.outputs])
    return [sinks[task.key].tensor.flatten() for task in tasks]
