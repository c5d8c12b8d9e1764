"""Values that are needed while planning: small tasks computed before the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mergegraph.library import Library
from mergegraph.planning.planned import whole_plan
from mergegraph.running.reading import gather, in_memory, make_reading
from mergegraph.tasks import Task


def evaluated(tasks: Sequence[Task], library: Library, *, budget: int, threads: int) -> list[Any]:
    """The values of tasks, flat; what they read is fetched first where it is not on disk.

    Raises MergeGraphError if they do not fit the budget, or a kernel fails.
    """
    plan = whole_plan([in_memory(task.key, task) for task in tasks], (), (), library)
    reading = make_reading(plan, budget=budget, threads=threads)
    return [each.flatten() for each in gather(reading)]
