"""From a recipe for experts to a plan that is ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from mergegraph import config as configs
from mergegraph.errors import MergeGraphError, Problem, ProblemsError
from mergegraph.library import Library, library_of
from mergegraph.machine import no_collection
from mergegraph.models.model import Model
from mergegraph.moe.building import Dense, build, check
from mergegraph.moe.gating import gates_of
from mergegraph.moe.layouts import Layout, config_of, layout_for
from mergegraph.moe.reading import BY_CHANCE, Mixture, read_mixture
from mergegraph.ops.arithmetic import cast
from mergegraph.planning.planned import main_dtypes, overlaps, result_key, whole_plan
from mergegraph.planning.planner import expanded
from mergegraph.planning.soundness import checks_of
from mergegraph.plans import Directory, Origin, Output, Plan
from mergegraph.plugins import installed_plugins
from mergegraph.preparing import Prepared, ready
from mergegraph.settings import Settings
from mergegraph.writing.made import package_versions


@no_collection()
def prepare(
    recipe: str | PathLike[str],
    *,
    out: str | PathLike[str] | None = None,
    settings: Settings | None = None,
    restart: bool = False,
) -> Prepared:
    """Everything up to the run itself; the base model is run first if gates are hidden states.

    Raises MergeGraphError if the recipe, a model, the budget or the disk will not do.
    """
    settings = settings or Settings()
    settings.check()
    plugins = installed_plugins()
    mixture = read_mixture(str(recipe))
    library = library_of(plugins)
    place = expanded(out) if out is not None else Path("merged") / mixture.name
    plan = make_mixture(mixture, library, place, seed=settings.seed)
    return ready(plan, plugins, settings, restart=restart)


def make_mixture(mixture: Mixture, library: Library, place: Path, *, seed: int | None) -> Plan:
    """The plan of a mixture; raises ProblemsError with what is wrong with its models."""
    chosen = seed if seed is not None else mixture.seed or 0
    dense = _dense(mixture, library)
    check(dense)
    notes = [*mixture.notes]
    built = build(dense, gates_of(dense, chosen, notes), chosen)
    outputs = [
        Output(place, name, cast(task, built.stored[name]) if task.spec.is_float else task)
        for name, task in built.tensors.items()
    ]
    directory = _directory(dense, outputs, place, chosen)
    if problems := list(overlaps([directory], library)):
        raise ProblemsError(problems)
    notes += built.findings.notes
    return whole_plan(outputs, checks_of(outputs), [directory], library, notes)


def _dense(mixture: Mixture, library: Library) -> Dense:
    """The models of a mixture, opened."""
    shelf = library.shelf()
    models: dict[str, Model] = {}
    problems = []
    for reference, place in mixture.models():
        if reference not in models:
            try:
                models[reference] = shelf.model(reference)
            except MergeGraphError as error:
                problems.append(Problem(place, str(error)))
    if problems:
        raise ProblemsError(problems)
    base = models[mixture.base]
    layout = _layout(mixture, base)
    stack = base.main_stack()
    if stack is None:
        fact = f"{mixture.base}: which of its tensors are layers is not clear"
        raise ProblemsError([Problem(mixture.places["base_model"], fact)])
    return Dense(mixture, layout, models, stack)


def _layout(mixture: Mixture, base: Model) -> Layout:
    """The layout of the result; raises ProblemsError if there is none for these models."""
    key = "architecture" if mixture.architecture else "base_model"
    if not base.config:
        fact = f"{mixture.base}: has no config.json, which tells its architecture"
        raise ProblemsError([Problem(mixture.places["base_model"], fact)])
    try:
        layout = layout_for(base.config, wanted=mixture.architecture, shared=len(mixture.shared))
    except MergeGraphError as error:
        raise ProblemsError([Problem(mixture.places[key], str(error))]) from error
    if layout.shared is not None and mixture.gate_mode not in BY_CHANCE:
        without = [each for each in mixture.shared if not any(each.positive)]
        fact = f"positive_prompts are missing: {layout.name} has a gate for what is shared, too"
        if without:
            raise ProblemsError([Problem(each.place, fact) for each in without])
    return layout


# -- the result ------------------------------------------------------------------------------


def _directory(dense: Dense, outputs: Sequence[Output], place: Path, seed: int) -> Directory:
    mixture = dense.mixture
    config = config_of(
        dense.layout,
        dense.base.config,
        experts=len(mixture.experts),
        per_token=mixture.per_token,
        width=dense.weight(dense.base, 0, "gate_proj").spec.shape[0],
        heads=int(dense.base.config.get("num_attention_heads", 1)),
    )
    config = configs.with_dtypes(config, main_dtypes(config, outputs))
    names = dict.fromkeys(name for name, _ in mixture.models())
    parents = [parent for name in names for parent in dense.models[name].parents]
    versions = "\n".join(f"{name} {found}" for name, found in package_versions().items())
    return Directory(
        path=place,
        origin=Origin(
            file=mixture.file,
            text=mixture.text,
            stage=None,
            methods=("moe",),
            place=mixture.file,
            edges=tuple((name, "result", "moe") for name in names),
            command="moe",
        ),
        seed=seed,
        config=config,
        sides=dense.base.sides,
        parents=tuple(dict.fromkeys(parents)),
        explained={},
        key=result_key(f"moe\n{versions}", outputs, config, dense.base.sides),
    )
