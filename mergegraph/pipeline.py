"""From recipes to results: the whole way, in order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mergegraph.errors import told_refusals
from mergegraph.files.trees import OnBytes
from mergegraph.preparing import Paths, Prepared, prepare
from mergegraph.provenance.manifest import Manifest
from mergegraph.running.causes import telling_causes
from mergegraph.running.execute import Progress, execute
from mergegraph.running.families import look as look_at_families
from mergegraph.running.fetching import fetch, streamed
from mergegraph.running.inputs import Inputs
from mergegraph.running.places import place_for
from mergegraph.settings import (
    SHARD_SIZE,
    Settings,
)
from mergegraph.trace import NO_TRACE, Trace, traced
from mergegraph.writing.found import left_by
from mergegraph.writing.log import RunLog
from mergegraph.writing.made import manifest_of
from mergegraph.writing.result import Result, tidy
from mergegraph.writing.writer import Writer


@dataclass(frozen=True)
class Summary:
    """What came of a run."""

    directories: tuple[Path, ...]
    warnings: tuple[str, ...]


def run(
    *recipes: Paths,
    out: Paths | None = None,
    memory: str | int | None = None,
    threads: int | None = None,
    device: str = "auto",
    seed: int | None = None,
    shard_size: str | int = SHARD_SIZE,
    settings: Sequence[str] = (),
    restart: bool = False,
    stream: bool = False,
    progress: Progress | None = None,
    trace: Paths | None = None,
) -> Summary:
    """Run recipes together, sharing the work they have in common.

    The options are those of `mergegraph run`; `settings` are `KEY=VALUE` changes to the recipes,
    and `trace` names a file for a trace of the run. Raises MergeGraphError before any work if
    something is wrong with the request, and RunError if the run fails.
    """
    chosen = Settings(memory, threads, device, seed, shard_size, tuple(settings), stream)
    prepared = prepare(recipes, out=out, settings=chosen, restart=restart)
    with traced(trace) as gathered:
        return finish(prepared, progress=progress, trace=gathered)


def plan(
    *recipes: Paths,
    out: Paths | None = None,
    memory: str | int | None = None,
    threads: int | None = None,
    seed: int | None = None,
    settings: Sequence[str] = (),
    stream: bool = False,
) -> Prepared:
    """What `run` would do: the plan, its schedule, and the layout of the results."""
    chosen = Settings(memory, threads, seed=seed, overrides=tuple(settings), stream=stream)
    return prepare(recipes, out=out, settings=chosen, restart=True)


@told_refusals()
def finish(
    prepared: Prepared,
    *,
    progress: Progress | None = None,
    fetching: OnBytes | None = None,
    trace: Trace = NO_TRACE,
    command: Sequence[str] = (),
    warn: Callable[[str], None] = lambda _warning: None,
) -> Summary:
    """Fetch what is not on disk, and run what was prepared.

    The `command` that was typed is kept with unfinished work, to be shown to who comes upon it.
    What is found before the run is told by `warn`, too: it is early enough to think again.
    """
    with Writer(trace) as writer, _opened(prepared, writer, command) as results:
        fetch(prepared.wanted, fetching)
        inputs = Inputs.of(prepared.plan)
        strange = _strange(prepared)
        for told in strange:
            warn(told)
        with (
            inputs.watched(results.values()),
            streamed(prepared.wanted, prepared.schedule) as streams,
            telling_causes(prepared.schedule, streams),
        ):
            sinks = [results[each.directory].sink(each) for each in prepared.schedule.outputs]
            warnings = execute(
                prepared.schedule,
                sinks,
                progress,
                trace,
                place=place_for(prepared.settings.device),
                is_compiled=prepared.is_compiled,
                streams=streams,
                left=left_by(prepared.found.values()),
                log=RunLog(prepared.schedule.outputs, results),
            )
            writer.drain()
            _seal(prepared, results.values(), inputs)
    return Summary(tuple(results), (*strange, *warnings))


@contextmanager
def _opened(
    prepared: Prepared, writer: Writer, command: Sequence[str]
) -> Iterator[dict[Path, Result]]:
    """The results that are to be made, each for this run alone from here to the end of the block.

    They are taken before anything is fetched: that may take hours, and others are at work, too.
    """
    results: dict[Path, Result] = {}
    try:
        for each in prepared.plan.directories:
            found = prepared.found[each.path]
            if found.is_done:
                tidy(each.path)
                continue
            layout = prepared.layouts[each.path]
            results[each.path] = Result(each, layout, found, writer, command)
            results[each.path].open()
        yield results
    finally:
        writer.end()
        for result in results.values():
            result.close()


def _seal(prepared: Prepared, results: Collection[Result], inputs: Inputs) -> None:
    """Give results their names, if they were made of what was planned."""
    for result in results:
        result.settle()
    manifests = [_manifest(prepared, each) for each in results]
    inputs.check()
    for result, manifest in zip(results, manifests, strict=True):
        result.seal(manifest)


def _strange(prepared: Prepared) -> tuple[str, ...]:
    """What there is to be told of the models, if anything is to be done with them."""
    if not prepared.schedule.units:
        return ()
    return look_at_families(
        prepared.plan.families,
        budget=prepared.schedule.budget,
        threads=prepared.settings.workers,
        wanted=prepared.wanted,
    )


def _manifest(prepared: Prepared, result: Result) -> Manifest:
    return manifest_of(
        result.directory, result.shards, result.digests, prepared.settings, prepared.plugins
    )
