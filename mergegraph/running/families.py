"""Looking whether models are of one family: a few of their rows read before a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.families import Family, told_of
from mergegraph.ops.folds import gram
from mergegraph.plans import Output, plan_of
from mergegraph.running.execute import execute
from mergegraph.running.fetching import Wanted, streamed
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import make_schedule


def look(
    families: Sequence[Family], *, budget: int, threads: int, wanted: Sequence[Wanted] = ()
) -> tuple[str, ...]:
    """What is to be told of families; their files must be there, or be streamed."""
    outputs = [
        Output(Path("families"), sample.name, gram(*sample.tasks))
        for family in families
        for sample in family.samples
    ]
    if not outputs:
        return ()
    try:
        schedule = make_schedule(plan_of(outputs, ()), budget=budget, threads=threads)
        sinks = [TensorSink(each.task.spec) for each in outputs]
        with streamed(wanted, schedule) as streams:
            execute(schedule, sinks, streams=streams)
    except MergeGraphError:  # whatever it is, the run will meet it and tell of it
        return ()
    return tuple(dict.fromkeys(_told(families, [each.tensor.tolist() for each in sinks])))


def _told(families: Sequence[Family], dots: Sequence[list[list[float]]]) -> Iterator[str]:
    left = iter(dots)
    for family in families:
        yield from told_of(family, [next(left) for _ in family.samples])
