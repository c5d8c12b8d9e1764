"""The survey: models and their base read once, for all that their kinship needs to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import combinations
from threading import Thread
from typing import Any

from mergegraph.errors import RunError, told_refusals
from mergegraph.files.trees import OnBytes
from mergegraph.kinship.kinds import kind_of
from mergegraph.kinship.members import Members, Opener, Request
from mergegraph.kinship.metrics import Sums, Table
from mergegraph.kinship.shared import Shared, shared_of
from mergegraph.kinship.values import Kinship, TensorSums
from mergegraph.library import Library
from mergegraph.names import layer_of
from mergegraph.ops.moments import compile_for, moments, moments_of
from mergegraph.planning.planned import whole_plan
from mergegraph.planning.planner import expanded
from mergegraph.plans import Output, Plan
from mergegraph.plugins import Plugins, installed_plugins
from mergegraph.preparing import no_collection
from mergegraph.recipe.tree import Source
from mergegraph.running.execute import Progress, execute
from mergegraph.running.families import look
from mergegraph.running.fetching import Wanted, fetch, needed, streamed
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.fitting import Reserve
from mergegraph.scheduling.schedule import Schedule, make_schedule
from mergegraph.settings import BUDGET_OF_COMPILER, Settings, compiler_nbytes, has_compiler
from mergegraph.stages.families import families_of
from mergegraph.stages.inputs import Input
from mergegraph.stages.outline import Part

_MEMORY = expanded("kinship")  # where values go that are not written
_WORTH_COMPILING = 2**25  # entries; with fewer, compiling takes longer than it saves
_TOGETHER = 1  # strips at once: those of several models fill a cache


@dataclass(frozen=True)
class Survey:
    """The models side by side, and the reading of them, planned."""

    request: Request
    members: Members
    shared: tuple[Shared, ...]
    plan: Plan
    schedule: Schedule
    settings: Settings
    wanted: tuple[Wanted, ...]
    is_compiled: bool
    broken: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know before the reading."""
        return (
            *self.broken,
            *self.plan.notes,
            *(each.note for each in self.wanted),
            *self._note_of_kernels(),
        )

    def _note_of_kernels(self) -> Iterator[str]:
        if _is_large(self.shared) and not has_compiler():
            yield "this would take less time with numba: pip install 'mergegraph[fast]'"


@told_refusals()
@no_collection()
def survey(
    request: Request,
    settings: Settings | None = None,
    *,
    plugins: Plugins | None = None,
    library: Library | None = None,
) -> Survey:
    """Open base and models and plan the reading; nothing is read yet.

    Raises MergeGraphError if something will not do.
    """
    settings = settings or Settings()
    settings.check()
    plugins = plugins or installed_plugins()
    library = library or Library(plugins.sources, tuple(plugins.codecs.values()))
    members = Opener(plugins, library, seed=settings.seed).open(request)
    shared, notes = shared_of(members)
    outputs = [Output(_MEMORY, each.name, moments(*each.tasks)) for each in shared]
    told = [*members.notes, *notes]
    plan = replace(whole_plan(outputs, (), (), library, told), families=_families(members, shared))
    is_large = has_compiler() and _is_large(shared)
    schedule = make_schedule(
        plan,
        budget=settings.budget,
        threads=settings.workers,
        together=_TOGETHER,
        reserve=_reserve(plan, settings, is_large=is_large),
    )
    wanted = needed(plan, schedule, (), is_streamed=settings.stream)
    left = settings.budget - settings.ahead_nbytes(plan, settings.budget)
    is_compiled = is_large and left >= BUDGET_OF_COMPILER
    return Survey(
        request, members, shared, plan, schedule, settings, wanted, is_compiled, plugins.broken
    )


def measure(
    made: Survey, progress: Progress | None = None, fetching: OnBytes | None = None
) -> Kinship:
    """Read everything in strips; raises RunError if that fails, or an entry is not finite."""
    with _compiling(made):
        fetch(made.wanted, fetching or (lambda _nbytes: None))
        strange = look(
            made.plan.families,
            budget=made.settings.budget,
            threads=made.settings.workers,
            wanted=made.wanted,
        )
    sinks = [TensorSink(each.task.spec) for each in made.plan.outputs]
    with streamed(made.wanted, made.schedule) as streams:
        execute(made.schedule, sinks, progress, is_compiled=made.is_compiled, streams=streams)
    count = len(made.members.models)
    values = [moments_of(each.tensor.flatten(), count) for each in sinks]
    _check_finite(made, values)
    tensors = tuple(
        TensorSums(each.name, kind_of(each.name), _layer(each.name), _sums(each, value))
        for each, value in zip(made.shared, values, strict=True)
    )
    found = Kinship(made.request.base, made.request.models, tensors, (*made.plan.notes, *strange))
    told = (*found.notes, *_told_of(found))
    return replace(found, notes=tuple(dict.fromkeys(told)))


@contextmanager
def _compiling(made: Survey) -> Iterator[None]:
    """Have the kernel compiled beside what else comes before the reading, if it is to be."""

    def work() -> None:
        # what fails here fails again where it is needed, and is told there
        with suppress(Exception):
            compile_for(len(made.members.models))

    thread = Thread(target=work, name="compiler", daemon=True)
    if made.is_compiled:
        thread.start()
    try:
        yield
    finally:
        if made.is_compiled:
            thread.join()


def kinship_of(
    base: str, *models: str, recipe: str | None = None, settings: Settings | None = None
) -> Kinship:
    """The kinship of models, by references as in recipes.

    Stages of `recipe`, the text of one, are models by their names, made or not.
    """
    return measure(survey(Request(base, models, recipe), settings))


def _is_large(shared: Sequence[Shared]) -> bool:
    """Whether there is so much to read that compiling takes less time than it saves."""
    entries = sum(task.spec.numel for each in shared for task in each.tasks)
    return entries >= _WORTH_COMPILING


def _reserve(plan: Plan, settings: Settings, *, is_large: bool) -> Reserve:
    """What of a budget is for reading ahead, and for the compiler."""

    def reserved(budget: int) -> int:
        ahead = settings.ahead_nbytes(plan, budget)
        return ahead + (compiler_nbytes(budget - ahead) if is_large else 0)

    return reserved


def _families(members: Members, shared: Sequence[Shared]) -> Any:
    """Samples that tell whether the models were made of the base."""
    models = (members.base, *members.models)
    merges = [
        tuple(
            Input(Part(_SOURCE, model, each.name), task, "", is_base=model is members.base)
            for model, task in zip(models, each.tasks, strict=True)
        )
        for each in shared
    ]
    # equal models are told of by what is measured
    unlike = (False,) * len(models)
    return tuple(replace(each, plain=unlike) for each in families_of("--base", merges))


_SOURCE = Source("", None, {}, "")


def _check_finite(made: Survey, values: Sequence[Any]) -> None:
    """Raise RunError with every tensor that has an entry which is no number, or infinite."""
    lines = []
    for each, value in zip(made.shared, values, strict=True):
        bad = [n for n, x in zip(made.request.models, value.dots.diag(), strict=True) if x - x != 0]
        who = made.request.base if value.base - value.base != 0 else ", ".join(bad)
        if bad:
            lines.append(f"{each.name}: has NaN or infinite entries in {who}")
    if lines:
        raise RunError(*lines)


def _sums(shared: Shared, value: Any) -> Sums:
    return Sums(
        entries=shared.tasks[0].spec.numel,
        base=value.base,
        sums=tuple(value.sums.tolist()),
        dots=_table(value.dots),
        same=_table(value.same),
        opposite=_table(value.opposite),
    )


def _table(rows: Any) -> Table:
    return tuple(map(tuple, rows.tolist()))


def _layer(name: str) -> str | None:
    found = layer_of(name)
    return f"{found.stack}.{found.index}" if found else None


def _told_of(found: Kinship) -> Iterator[str]:
    """Models that are the base, or each other."""
    for i, name in enumerate(found.names):
        if not found.total.dots[i][i]:
            yield f"{name} equals the base {found.base}: it has no kinship with any other"
    for i, j in combinations(range(len(found.names)), 2):
        if found.total.dots[i][i] and found.pair(i, j, "euclidean") == 0:
            yield f"{found.names[i]} and {found.names[j]} are equal in every shared entry"
