"""The survey: models and their base read once, for all that their kinship needs to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from mergegraph.errors import RunError, told_refusals
from mergegraph.families import Family
from mergegraph.files.trees import OnBytes
from mergegraph.kinship.members import Members, Opener, Request
from mergegraph.kinship.reading import (
    compiling,
    is_large,
    make_reading,
    outputs_of,
    spoilers,
    sums_of,
)
from mergegraph.kinship.shared import Shared, shared_of
from mergegraph.kinship.values import Kinship, TensorSums
from mergegraph.library import Library, library_of
from mergegraph.machine import no_collection
from mergegraph.planning.planned import whole_plan
from mergegraph.plugins import Plugins, installed_plugins
from mergegraph.recipe.tree import Source
from mergegraph.running.execute import Progress
from mergegraph.running.families import look
from mergegraph.running.fetching import fetch
from mergegraph.running.reading import Reading, read
from mergegraph.settings import Settings, has_compiler
from mergegraph.stages.families import families_of
from mergegraph.stages.inputs import Input
from mergegraph.stages.outline import Part


@dataclass(frozen=True)
class Survey:
    """The models side by side, and the reading of them, planned."""

    request: Request
    members: Members
    shared: tuple[Shared, ...]
    reading: Reading
    broken: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know before the reading."""
        return (*self.broken, *self.reading.notes, *self._note_of_kernels())

    def _note_of_kernels(self) -> Iterator[str]:
        if is_large(self.shared) and not has_compiler():
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
    library = library or library_of(plugins)
    members = Opener(plugins, library, seed=settings.seed).open(request)
    shared, notes = shared_of(members)
    told = [*members.notes, *notes]
    plan = whole_plan(outputs_of(shared), (), (), library, told)
    plan = replace(plan, families=_families(members, shared))
    reading = make_reading(plan, shared, settings)
    return Survey(request, members, shared, reading, plugins.broken)


def measure(
    made: Survey, progress: Progress | None = None, fetching: OnBytes | None = None
) -> Kinship:
    """Read everything in strips; raises RunError if that fails, or an entry is not finite."""
    reading = made.reading
    with compiling(reading, len(made.members.models)):
        fetch(reading.wanted, fetching)
        strange = look(
            reading.plan.families,
            budget=reading.schedule.budget,
            threads=reading.schedule.threads,
            wanted=reading.wanted,
        )
    pairs = zip(made.shared, read(reading, progress), strict=True)
    tensors = tuple(sums_of(each, value) for each, value in pairs)
    _check_finite(made.request, tensors)
    notes = (*reading.plan.notes, *strange)
    found = Kinship(made.request.base, made.request.models, tensors, notes)
    told = (*found.notes, *_told_of(found))
    return replace(found, notes=tuple(dict.fromkeys(told)))


def kinship_of(
    base: str, *models: str, recipe: str | None = None, settings: Settings | None = None
) -> Kinship:
    """The kinship of models, by references as in recipes.

    Stages of `recipe`, the text of one, are models by their names, made or not.
    """
    return measure(survey(Request(base, models, recipe), settings))


def _families(members: Members, shared: Sequence[Shared]) -> tuple[Family, ...]:
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


def _check_finite(request: Request, tensors: Sequence[TensorSums]) -> None:
    """Raise RunError with every tensor that has an entry which is no number, or infinite."""
    spoiled = [(each, spoilers(each.sums, request.base, request.models)) for each in tensors]
    lines = [
        f"{each.name}: has NaN or infinite entries in {', '.join(who)}"
        for each, who in spoiled
        if who
    ]
    if lines:
        raise RunError(*lines)


def _told_of(found: Kinship) -> Iterator[str]:
    """Models that are the base, or each other."""
    for i, name in enumerate(found.names):
        if not found.total.dots[i][i]:
            yield f"{name} equals the base {found.base}: it has no kinship with any other"
    for i, j in combinations(range(len(found.names)), 2):
        if found.total.dots[i][i] and found.pair(i, j, "euclidean") == 0:
            yield f"{found.names[i]} and {found.names[j]} are equal in every shared entry"
