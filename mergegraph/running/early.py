"""Values that are needed while planning: small tasks computed before the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mergegraph.files.checkpoint import Checkpoint
from mergegraph.ops.arithmetic import load
from mergegraph.plans import Output, plan_of
from mergegraph.running.execute import execute
from mergegraph.scheduling.schedule import make_schedule
from mergegraph.tasks import Task


@dataclass
class _Kept:
    """The sink of a value that fits in one strip."""

    strips: dict[int, Any] = field(default_factory=dict)

    def write(self, start: int, strip: Any) -> None:
        """Keep some entries."""
        self.strips[start] = strip.clone()

    def finish(self, digest: str) -> None:
        """Nothing is left to do."""

    @property
    def value(self) -> Any:
        """All entries, flat."""
        import torch

        return torch.cat([self.strips[start] for start in sorted(self.strips)])


def evaluated(
    tasks: Sequence[Task], checkpoints: Iterable[Checkpoint], *, budget: int, threads: int
) -> list[Any]:
    """The values of tasks, flat; what they read is fetched first where it is not on disk.

    Raises MergeGraphError if they do not fit the budget, or a kernel fails.
    """
    outputs = [Output(Path("early"), task.key, task) for task in tasks]
    made = plan_of(outputs, [])
    read = {task.numbers["entry"].identity for task in made.tasks if task.op is load}
    for each in checkpoints:
        if not each.tree.is_local and any(e.identity in read for e in each.entries.values()):
            each.tree.fetch(each.headers, lambda _nbytes: None)
    schedule = make_schedule(made, budget=budget, threads=threads)
    sinks = {each.name: _Kept() for each in schedule.outputs}
    execute(schedule, [sinks[each.name] for each in schedule.outputs])
    return [sinks[task.key].value for task in tasks]
