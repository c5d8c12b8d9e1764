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
from mergegraph.library import Library, library_of
from mergegraph.machine import no_collection
from mergegraph.models.model import Model
from mergegraph.ops.arithmetic import cast
from mergegraph.ops.folds import count_nonfinite, gram
from mergegraph.ops.sketch import singular_values
from mergegraph.planning.planned import whole_plan
from mergegraph.plans import Plan
from mergegraph.plugins import Plugins, installed_plugins
from mergegraph.running.execute import Progress
from mergegraph.running.reading import Reading, gather, in_memory
from mergegraph.settings import Settings

DTYPES = ("float32", "bfloat16", "float16")
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
    reading: Reading
    library: Library
    plugins: Plugins
    settings: Settings

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
    library = library_of(plugins)
    shelf = library.shelf()
    model, base = shelf.model(request.model), shelf.model(request.base)
    paired = _paired(model, base)
    _check_names(paired, request.wishes)
    reading = settings.reading(_plan(paired, request.wishes, library, settings.seed or 0))
    return Survey(request, model, base, paired, reading, library, plugins, settings)


def measure(
    made: Survey, progress: Progress | None = None, fetching: OnBytes | None = None
) -> Mapping[str, Measured]:
    """Read both models in strips; raises RunError if that fails."""
    found = gather(made.reading, progress, fetching)
    outputs = made.reading.plan.outputs
    values = {o.name: each.flatten().tolist() for o, each in zip(outputs, found, strict=True)}
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
        outputs.append(in_memory(f"{_LENGTHS}{each.name}", lengths))
        fact = f"{each.name}: differs from the base by NaN or infinite entries"
        checks.append(Check(count_nonfinite(each.delta), fact, is_fatal=True))
        if may_factor(each, paired, wishes) and wishes.takes(each.module):
            values = singular_values(*sketch_of(each, most=wishes.most, seed=seed))
            outputs.append(in_memory(f"{_VALUES}{each.name}", values))
    return whole_plan(outputs, checks, (), library)


def _measured(name: str, values: Mapping[str, list[float]]) -> Measured:
    change, _, _, size = values[f"{_LENGTHS}{name}"]
    return Measured(change**0.5, size**0.5, tuple(values.get(f"{_VALUES}{name}", ())))
