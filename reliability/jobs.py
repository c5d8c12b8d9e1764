"""Jobs: runs that are described by values, so that any process can carry them out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mergegraph import extract, loops, moe, pipeline, preparing, strips
from mergegraph.errors import MergeGraphError
from mergegraph.preparing import Prepared
from mergegraph.running import milestones
from mergegraph.running.execute import Progress
from mergegraph.scheduling.schedule import TOGETHER_ON_CPU
from mergegraph.settings import Settings

Kind = Literal["run", "moe", "extract-lora"]
AMPLE = "2GiB"
_ALLOW = re.compile(r"allow it --memory (\d+)MiB")


@dataclass(frozen=True)
class Job:
    """A run: what is merged, where to, and how. `given` are recipes, or model and base.

    `strip` is where folds are cut, `every` the bytes between two milestones, if not as ever.
    """

    kind: Kind
    given: tuple[str, ...]
    out: str
    memory: str | int = AMPLE
    threads: int = 1
    shard_size: str | int = "5GB"
    together: int = TOGETHER_ON_CPU
    strip: int = strips.STRIP
    every: int | None = None
    is_compiled: bool = False
    restart: bool = False
    seed: int | None = None
    meter: str = ""
    said: str = ""

    @property
    def settings(self) -> Settings:
        """How it is run."""
        return Settings(self.memory, self.threads, seed=self.seed, shard_size=self.shard_size)

    def results(self) -> list[Path]:
        """The directories it ends in."""
        if len(self.given) == 1 or self.kind != "run":
            return [Path(self.out)]
        return [Path(self.out) / Path(each).stem for each in self.given]


def carry_out(job: Job, progress: Progress | None = None) -> None:
    """Do a job in this process; raises MergeGraphError as the command would."""
    with constants(job):
        prepared = prepare(job)
        compiled = job.is_compiled or prepared.is_compiled
        pipeline.finish(replace(prepared, is_compiled=compiled), progress=progress)


def prepare(job: Job) -> Prepared:
    """The plan of a job, ready to run."""
    settings, restart = job.settings, job.restart
    if job.kind == "moe":
        return moe.prepare(job.given[0], out=job.out, settings=settings, restart=restart)
    if job.kind == "extract-lora":
        made = extract.survey(extract.Request(job.given[0], job.given[1]), settings)
        return extract.prepare(made, extract.measure(made), out=job.out, restart=restart)
    return preparing.prepare(job.given, out=job.out, settings=settings, restart=restart)


def least_memory(job: Job) -> str | int:
    """The smallest budget that a job can be done in, as its plan, or its refusal, tells."""
    with constants(job):
        least = prepare(replace(job, memory=AMPLE)).schedule.at(1).peak_nbytes
        try:
            prepare(replace(job, memory=max(1, least)))
        except MergeGraphError as error:  # something is run before the plan is there
            if told := _ALLOW.search(str(error)):
                return f"{told[1]}MiB"
            raise
    return max(1, least)


def warm_up() -> None:
    """Compile what fused passes need, which takes long and is done once for a process."""
    loops.compiled(loops.run, loops.RUN)
    loops.compiled(loops.drop_by_rank, loops.DROP_BY_RANK)


@contextmanager
def constants(job: Job) -> Iterator[None]:
    """Have the engine cut tensors, take strips together, and note milestones as a job says."""
    found: list[tuple[Any, str, int]] = [
        (strips, "STRIP", job.strip),
        (preparing, "TOGETHER_ON_CPU", job.together),
    ]
    if job.every is not None:
        found += [(milestones, "_EVERY", job.every), (milestones, "_TIMES_STATE", 0)]
    kept = [(module, name, getattr(module, name)) for module, name, _ in found]
    try:
        for module, name, value in found:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)
