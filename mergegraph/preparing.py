"""Preparing: from recipes to a schedule and the layout of results, with nothing written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from mergegraph.errors import told_refusals
from mergegraph.library import Library, library_of
from mergegraph.machine import no_collection, parse_size
from mergegraph.planning.partition import wholes
from mergegraph.planning.planner import expanded, make_plan
from mergegraph.plans import Plan
from mergegraph.plugins import Plugins, installed_plugins
from mergegraph.recipe import Recipe, read_recipe
from mergegraph.running.early import evaluated
from mergegraph.running.fetching import Wanted, needed
from mergegraph.running.inputs import Inputs
from mergegraph.scheduling.schedule import (
    TOGETHER_ON_CPU,
    TOGETHER_ON_DEVICE,
    Schedule,
    make_schedule,
)
from mergegraph.settings import BUDGET_OF_COMPILER, WORTH_COMPILING, Settings, has_compiler
from mergegraph.writing.bond import bond_of
from mergegraph.writing.found import Found, left_by, look
from mergegraph.writing.made import package_versions
from mergegraph.writing.room import check_room
from mergegraph.writing.shards import Shard, lay_out

Paths = str | PathLike[str]


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
        is_large = self.schedule.work >= WORTH_COMPILING and not self.settings.is_on_device
        if self.is_compiled:
            yield "passes are fused and compiled by numba; the bytes are the same"
        elif is_large and not has_compiler():
            yield "this would take less time with numba: pip install 'mergegraph[fast]'"
        elif is_large and self.schedule.budget < BUDGET_OF_COMPILER:
            least = BUDGET_OF_COMPILER // 2**20
            yield f"passes are fused and compiled from --memory {least}MiB on, here they are not"


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
    plan = planned(recipes, plugins, library_of(plugins), settings, places=places)
    return ready(plan, plugins, settings, restart=restart)


def planned(
    recipes: Sequence[Recipe],
    plugins: Plugins,
    library: Library,
    settings: Settings,
    *,
    places: Sequence[Path],
) -> Plan:
    """The plan of recipes; raises MergeGraphError if one of them, or an input, will not do."""
    return make_plan(
        recipes,
        plugins.methods,
        library,
        places=places,
        seed=settings.seed,
        identity=lambda recipe: identity_of(plugins, recipe),
        evaluate=lambda tasks: evaluated(
            tasks, library, budget=settings.budget, threads=settings.workers
        ),
    )


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
    schedule = make_schedule(
        plan,
        budget=budget,
        threads=settings.workers,
        together=TOGETHER_ON_DEVICE if settings.is_on_device else TOGETHER_ON_CPU,
        reserve=settings.reserve(plan),
        done=done,
        known={key: value.nbytes for key, value in left_by(found.values()).values.items()},
    )
    unfinished = [each for each in plan.directories if not found[each.path].is_done]
    wanted = needed(plan, schedule, unfinished, is_streamed=settings.stream)
    check_room(layouts, found, wanted)
    is_compiled = settings.is_compiled(plan, schedule)
    return Prepared(plan, schedule, layouts, found, settings, plugins, is_compiled, wanted)


def _places(names: Sequence[str], out: Paths | None) -> list[Path]:
    """Where results go: `--out` for one recipe, a folder in it for each of several."""
    folder = expanded(out) if out is not None else Path("merged")
    return [folder] if len(names) == 1 and out is not None else [folder / name for name in names]


def identity_of(plugins: Plugins, recipe: Recipe) -> str:
    """The versions of the packages that the kernels of a recipe come from."""
    methods = {stage.method for stage in recipe.stages}
    packages = {plugins.package(name) for name in methods & plugins.methods.keys()}
    packages |= set(plugins.readers)
    return "\n".join(sorted({*packages, *(f"{n} {v}" for n, v in package_versions().items())}))
