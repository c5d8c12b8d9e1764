"""What is behind a check that ended a run: its causes looked at, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.files.reading import Stream
from mergegraph.findings import Check, CheckError
from mergegraph.plans import Output, plan_of
from mergegraph.running.execute import execute
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import Schedule, make_schedule


@contextmanager
def telling_causes(schedule: Schedule, streams: Mapping[Path, Stream]) -> Iterator[None]:
    """Tell of a check that ends a run by the first of its causes that there is, or by itself."""
    try:
        yield
    except CheckError as error:
        if (found := _cause(error.check, schedule, streams)) is not None:
            raise found from error
        raise


def _cause(check: Check, schedule: Schedule, streams: Mapping[Path, Stream]) -> CheckError | None:
    for cause in check.causes:
        try:
            count = _count(cause, schedule, streams)
        except MergeGraphError:  # what can be told without reading again is told
            return None
        if count:
            return CheckError(cause, count)
    return None


def _count(check: Check, schedule: Schedule, streams: Mapping[Path, Stream]) -> int:
    plan = plan_of([Output(Path("causes"), check.tensor, check.task)], ())
    sink = TensorSink(check.task.spec)
    again = make_schedule(plan, budget=schedule.budget, threads=schedule.threads)
    execute(again, [sink], streams=streams)
    return int(sink.tensor.sum())
