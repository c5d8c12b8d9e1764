"""The survey: how far every tensor is from its base's, found by reading both models once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mergegraph.errors import MergeGraphError, Problem, ProblemsError, nearest
from mergegraph.extract.adapter import sketch_of
from mergegraph.extract.fates import Measured, Wishes, may_factor
from mergegraph.extract.kinds import Paired, pair
from mergegraph.files.trees import OnBytes
from mergegraph.findings import Check
from mergegraph.library import Library
from mergegraph.models.model import Model
from mergegraph.ops.arithmetic import cast
from mergegraph.ops.folds import count_nonfinite, gram
from mergegraph.ops.sketch import singular_values
from mergegraph.planning.planned import whole_plan
from mergegraph.planning.planner import expanded
from mergegraph.plans import Output, Plan
from mergegraph.plugins import Plugins, installed_plugins
from mergegraph.preparing import no_collection
from mergegraph.running.execute import Progress, execute
from mergegraph.running.fetching import Wanted, fetch, needed, streamed
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import Schedule, make_schedule
from mergegraph.settings import Settings

DTYPES = ("float32", "bfloat16", "float16")
_MEMORY = expanded("survey")  # where values go that are not written
_LENGTHS, _VALUES = "lengths of ", "singular values of "


@dataclass(frozen=True)
class Request:
    """A model, the base it was made of, and the adapter that is wanted of their difference."""

    model: str
    base: str
    wishes: Wishes = field(default_factory=Wishes)
    dtype: str | None = None
    is_even: bool = True

    def check(self) -> None:
        """Raise MergeGraphError if something cannot be asked for."""
        self.wishes.check()
        if self.dtype is not None and self.dtype not in DTYPES:
            raise MergeGraphError(f"--dtype {self.dtype}: not known{nearest(self.dtype, DTYPES)}")


@dataclass(frozen=True)
class Survey:
    """Both models, opened and put side by side, and the reading of them, planned."""

    request: Request
    model: Model
    base: Model
    paired: Paired
    plan: Plan
    schedule: Schedule
    library: Library
    plugins: Plugins
    settings: Settings
    wanted: tuple[Wanted, ...]

    @property
    def seed(self) -> int:
        """What sketches are drawn by."""
        return self.settings.seed or 0


@no_collection()
def survey(request: Request, settings: Settings | None = None) -> Survey:
    """Open both models and plan the reading; nothing is read yet.

    Raises MergeGraphError if something will not do.
    """
    settings = settings or Settings()
    settings.check()
    request.check()
    plugins = installed_plugins()
    library = Library(plugins.sources, tuple(plugins.codecs.values()))
    shelf = library.shelf()
    model, base = shelf.model(request.model), shelf.model(request.base)
    paired = _paired(model, base)
    _check_names(paired, request.wishes)
    plan = _plan(paired, request.wishes, library, settings.seed or 0)
    schedule = make_schedule(
        plan, budget=settings.budget, threads=settings.workers, reserve=settings.reserve(plan)
    )
    wanted = needed(plan, schedule, (), is_streamed=settings.stream)
    return Survey(request, model, base, paired, plan, schedule, library, plugins, settings, wanted)


def measure(
    made: Survey, progress: Progress | None = None, fetching: OnBytes | None = None
) -> Mapping[str, Measured]:
    """Read both models in strips; raises RunError if that fails."""
    fetch(made.wanted, fetching or (lambda _nbytes: None))
    sinks = [TensorSink(each.task.spec) for each in made.plan.outputs]
    with streamed(made.wanted, made.schedule) as streams:
        execute(made.schedule, sinks, progress, streams=streams)
    values = {
        each.name: sink.tensor.flatten().tolist()
        for each, sink in zip(made.plan.outputs, sinks, strict=True)
    }
    return {each.name: _measured(each.name, values) for each in made.paired.pairs}


def _paired(model: Model, base: Model) -> Paired:
    """The tensors of both; raises MergeGraphError if they do not belong together."""
    paired = pair(model, base)
    if paired.problems:
        raise ProblemsError([Problem("", fact) for fact in paired.problems])
    if not paired.pairs:
        raise MergeGraphError(f"{model.reference} and {base.reference}: have no tensors in common")
    return paired


def _check_names(paired: Paired, wishes: Wishes) -> None:
    """Raise ProblemsError if a module is asked for that there is not."""
    modules = {each.module for each in paired.pairs}
    modules |= {head.rpartition(".")[0] for head in paired.tied.values()}
    if lost := list(wishes.unmatched(modules)):
        raise ProblemsError([Problem("", f"{each}: matches no module") for each in lost])


def _plan(paired: Paired, wishes: Wishes, library: Library, seed: int) -> Plan:
    """What it takes to know the lengths of all differences, and their singular values."""
    outputs, checks = [], []
    for each in paired.pairs:
        lengths = gram(each.delta, cast(each.base, "float32"))
        outputs.append(Output(_MEMORY, f"{_LENGTHS}{each.name}", lengths))
        fact = f"{each.name}: differs from the base by NaN or infinite entries"
        checks.append(Check(count_nonfinite(each.delta), fact, is_fatal=True))
        if may_factor(each, paired, wishes) and wishes.takes(each.module):
            values = singular_values(*sketch_of(each, most=wishes.most, seed=seed))
            outputs.append(Output(_MEMORY, f"{_VALUES}{each.name}", values))
    return whole_plan(outputs, checks, (), library)


def _measured(name: str, values: Mapping[str, list[float]]) -> Measured:
    change, _, _, size = values[f"{_LENGTHS}{name}"]
    return Measured(change**0.5, size**0.5, tuple(values.get(f"{_VALUES}{name}", ())))
