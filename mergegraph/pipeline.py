"""From recipes to results: the whole way, in order."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from mergegraph.errors import told_refusals
from mergegraph.files.trees import OnBytes
from mergegraph.library import Library
from mergegraph.machine import parse_size
from mergegraph.planning.partition import wholes
from mergegraph.planning.planner import expanded, make_plan
from mergegraph.plans import Plan
from mergegraph.plugins import Plugins, installed_plugins
from mergegraph.provenance.manifest import Manifest
from mergegraph.recipe import Recipe, read_recipe
from mergegraph.running.causes import telling_causes
from mergegraph.running.early import evaluated
from mergegraph.running.execute import Progress, execute
from mergegraph.running.families import look as look_at_families
from mergegraph.running.fetching import Wanted, fetch, needed, streamed
from mergegraph.running.inputs import Inputs
from mergegraph.running.milestones import Left
from mergegraph.running.places import place_for
from mergegraph.scheduling.schedule import (
    TOGETHER_ON_CPU,
    TOGETHER_ON_DEVICE,
    Schedule,
    make_schedule,
)
from mergegraph.settings import (
    BUDGET_OF_COMPILER,
    SHARD_SIZE,
    Settings,
    has_compiler,
)
from mergegraph.trace import NO_TRACE, Trace, traced
from mergegraph.writing.bond import bond_of
from mergegraph.writing.found import Found, look
from mergegraph.writing.log import RunLog
from mergegraph.writing.made import manifest_of, package_versions
from mergegraph.writing.result import Result, tidy
from mergegraph.writing.room import check_room
from mergegraph.writing.shards import Shard, lay_out
from mergegraph.writing.writer import Writer

Paths = str | PathLike[str]
_WORTH_COMPILING = 40 * 10**9  # work of a schedule; with less, compiling takes longer than it saves


@dataclass(frozen=True)
class Prepared:
    """A plan with its schedule and the layout of its results, checked and ready to run."""

    plan: Plan
    schedule: Schedule
    layouts: Mapping[Path, tuple[Shard, ...]]
    found: Mapping[Path, Found]
    settings: Settings
    plugins: Plugins
    is_compiled: bool
    wanted: tuple[Wanted, ...] = ()

    @property
    def fetch_nbytes(self) -> int:
        """The bytes of files that are brought before the run."""
        return sum(each.nbytes for each in self.wanted)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know before the run."""
        return (
            *self.plugins.broken,
            *self.plan.notes,
            *(each.note for each in self.wanted),
            *(f.note for f in self.found.values() if f.note),
            *self._note_of_kernels(),
        )

    def _note_of_kernels(self) -> Iterator[str]:
        is_large = self.schedule.work >= _WORTH_COMPILING and not self.settings.is_on_device
        if self.is_compiled:
            yield "passes are fused and compiled by numba; the bytes are the same"
        elif is_large and not has_compiler():
            yield "this would take less time with numba: pip install 'mergegraph[fast]'"
        elif is_large and self.schedule.budget < BUDGET_OF_COMPILER:
            least = BUDGET_OF_COMPILER // 2**20
            yield f"passes are fused and compiled from --memory {least}MiB on, here they are not"


@dataclass(frozen=True)
class Summary:
    """What came of a run."""

    directories: tuple[Path, ...]
    warnings: tuple[str, ...]


@contextmanager
def no_collection() -> Iterator[None]:
    """Leave the garbage collector out: a plan is millions of objects, and none of them garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def prepare(
    recipes: Sequence[Paths],
    *,
    out: Paths | None = None,
    settings: Settings | None = None,
    restart: bool = False,
) -> Prepared:
    """Everything up to the run itself: nothing is written, no tensor is read.

    Raises MergeGraphError if a recipe, an input, the budget or the disk will not do.
    """
    settings = settings or Settings()
    plugins = installed_plugins()
    read = [read_recipe(str(path), plugins.methods, settings.overrides) for path in recipes]
    places = _places([each.name for each in read], out)
    return prepare_recipes(read, plugins, settings, places=places, restart=restart)


@told_refusals()
@no_collection()
def prepare_recipes(
    recipes: Sequence[Recipe],
    plugins: Plugins,
    settings: Settings,
    *,
    places: Sequence[Path],
    restart: bool = False,
) -> Prepared:
    """The same of recipes that are read already, each with the place of its result."""
    settings.check()
    library = Library(plugins.sources, tuple(plugins.codecs.values()))
    plan = make_plan(
        recipes,
        plugins.methods,
        library,
        places=places,
        seed=settings.seed,
        identity=lambda recipe: _identity(plugins, recipe),
        evaluate=lambda tasks: evaluated(
            tasks, library, budget=settings.budget, threads=settings.workers
        ),
    )
    return ready(plan, plugins, settings, restart=restart)


def ready(plan: Plan, plugins: Plugins, settings: Settings, *, restart: bool = False) -> Prepared:
    """A plan with its schedule, its results laid out, and what is there of them already.

    Raises MergeGraphError if the budget or the disk will not do.
    """
    shard_nbytes = parse_size(settings.shard_size, "--shard-size")
    layouts = {
        each.path: lay_out(
            wholes(o for o in plan.outputs if o.directory == each.path),
            shard_nbytes,
            each.sides.stems,
            each.sides.words,
        )
        for each in plan.directories
    }
    stamps = Inputs.of(plan).stamps
    found = {}
    for each in plan.directories:
        bond = bond_of(each, layouts[each.path], settings)
        found[each.path] = look(each, layouts[each.path], bond, stamps, restart=restart)
    done = {
        (str(output.directory), output.name)
        for output in plan.outputs
        if found[output.directory].is_done or output.name in found[output.directory].finished
    }
    budget = settings.budget
    may_compile = settings.may_compile(plan)
    schedule = make_schedule(
        plan,
        budget=budget,
        threads=settings.workers,
        together=TOGETHER_ON_DEVICE if settings.is_on_device else TOGETHER_ON_CPU,
        reserve=settings.reserve(plan),
        done=done,
        known={key: value.nbytes for key, value in _left(found).values.items()},
    )
    unfinished = [each for each in plan.directories if not found[each.path].is_done]
    wanted = needed(plan, schedule, unfinished, is_streamed=settings.stream)
    check_room(layouts, found, wanted)
    left = budget - settings.ahead_nbytes(plan, budget)
    has_room = may_compile and left >= BUDGET_OF_COMPILER
    is_compiled = has_room and schedule.work >= _WORTH_COMPILING
    return Prepared(plan, schedule, layouts, found, settings, plugins, is_compiled, wanted)


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
    results: dict[Path, Result] = {}
    fetch(prepared.wanted, fetching or (lambda _nbytes: None))
    inputs = Inputs.of(prepared.plan)
    strange = _strange(prepared)
    for told in strange:
        warn(told)
    try:
        with (
            inputs.watched(results.values()),
            Writer(trace) as writer,
            streamed(prepared.wanted, prepared.schedule) as streams,
        ):
            for each in prepared.plan.directories:
                found = prepared.found[each.path]
                if found.is_done:
                    tidy(each.path)
                    continue
                layout = prepared.layouts[each.path]
                results[each.path] = Result(each, layout, found, writer, command)
            for result in results.values():
                result.open()
            sinks = [results[each.directory].sink(each) for each in prepared.schedule.outputs]
            with telling_causes(prepared.schedule):
                warnings = execute(
                    prepared.schedule,
                    sinks,
                    progress,
                    trace,
                    place=place_for(prepared.settings.device),
                    is_compiled=prepared.is_compiled,
                    streams=streams,
                    left=_left(prepared.found),
                    log=RunLog(prepared.schedule.outputs, results),
                )
            writer.drain()
            for result in results.values():
                result.settle()
            manifests = [_manifest(prepared, each) for each in results.values()]
            inputs.check()
            for result, manifest in zip(results.values(), manifests, strict=True):
                result.seal(manifest)
    finally:
        for result in results.values():
            result.close()
    return Summary(tuple(results), (*strange, *warnings))


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


def _left(found: Mapping[Path, Found]) -> Left:
    """What earlier runs left of all results together."""
    work = [each.work for each in found.values()]
    values = {key: value for each in work for key, value in each.values.items()}
    return Left(values, {key: m for each in work for key, m in each.milestones.items()})


def _places(names: Sequence[str], out: Paths | None) -> list[Path]:
    """Where results go: `--out` for one recipe, a folder in it for each of several."""
    folder = expanded(out) if out is not None else Path("merged")
    return [folder] if len(names) == 1 and out is not None else [folder / name for name in names]


def _identity(plugins: Plugins, recipe: Recipe) -> str:
    """The versions of the packages that the kernels of a recipe come from."""
    methods = {stage.method for stage in recipe.stages}
    packages = {plugins.package(name) for name in methods & plugins.methods.keys()}
    packages |= set(plugins.readers)
    return "\n".join(sorted({*packages, *(f"{n} {v}" for n, v in package_versions().items())}))


def _manifest(prepared: Prepared, result: Result) -> Manifest:
    return manifest_of(
        result.directory, result.shards, result.digests, prepared.settings, prepared.plugins
    )
