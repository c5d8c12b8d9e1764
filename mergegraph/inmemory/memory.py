"""Merging models that are in memory: state dicts or modules in, a state dict or a module out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from warnings import warn

from mergegraph.errors import MergeGraphError, MergeWarning, Problem, ProblemsError, nearest
from mergegraph.families import Family
from mergegraph.findings import Check
from mergegraph.inmemory.states import State, check_wrappers, model_of, settle, state_of, tied_names
from mergegraph.inmemory.targets import INTO, check_targets, fitted, sinks_of, targets_of, telling
from mergegraph.machine import free_memory, parse_size, usable_cores
from mergegraph.methods import Method
from mergegraph.parameters import Parameter
from mergegraph.planning.planner import outputs_of
from mergegraph.plans import Output, plan_of
from mergegraph.plugins import installed_plugins
from mergegraph.recipe import Module, Slice, Source, Stage
from mergegraph.recipe.grammar import DtypeName, OnMissing, OnNonfinite
from mergegraph.recipe.values import Rule
from mergegraph.running.causes import telling_causes
from mergegraph.running.computing import Sink
from mergegraph.running.execute import execute
from mergegraph.running.families import look
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import Schedule, make_schedule
from mergegraph.stages.stage import Built, build_stage

BASE = "base"


def merge(
    models: Mapping[str, Any],
    *,
    method: str,
    base: Any = None,
    into: Any = None,
    dtype: str | None = None,
    seed: int = 0,
    on_missing: str = "error",
    on_nonfinite: str = "raise",
    memory: str | int | None = None,
    threads: int | None = None,
    **parameters: Any,
) -> dict[str, Any]:
    """Merge models that are in memory, by the same methods and parameters as recipes.

    `models` and `base` are state dicts (name → tensor) or torch modules. A parameter with a value
    for each model is given as one value for all, a list in the order of `models`, or a mapping by
    their names; `lambda_` stands for `lambda`. The result has the shapes of the inputs and the
    dtype of the base, or else the one that holds all models' (`dtype` overrides); the inputs are
    left as they are. Raises MergeGraphError if names, shapes or parameters do not fit.

    With `into`, a module or a state dict, the result is written into its tensors, and these are
    given back: they keep their dtype and device. It may be one of the models, or the base. Nothing
    is written if the request is refused or an input is not finite; a merge that fails later raises
    PartlyWrittenError, which tells the tensors that are written.
    """
    _check_words(
        dtype=(dtype, (None, *get_args(DtypeName))),
        on_missing=(on_missing, get_args(OnMissing)),
        on_nonfinite=(on_nonfinite, get_args(OnNonfinite)),
    )
    if threads is not None and threads < 1:
        raise MergeGraphError(f"merge: threads {threads} is not at least 1")
    if into is not None and dtype is not None:
        raise MergeGraphError("merge: into has dtypes of its own; leave dtype out")
    chosen = _method(method)
    states = _states(models, base, chosen)
    targets = None if into is None else targets_of(into)
    check_wrappers(states if targets is None else {**states, INTO: targets})
    tied = tied_names(states.values())
    stage = _stage(
        chosen, list(models), base is not None, parameters, dtype, on_missing, on_nonfinite
    )
    built = _built(stage, states, tied, chosen, seed)
    budget = free_memory() // 2 if memory is None else parse_size(memory, "memory")
    engine = _Engine(budget, threads or usable_cores())
    if targets is None:
        return _merged(stage, built, tied, engine)
    _write(stage, built, tied, targets, engine)
    return targets


@dataclass(frozen=True)
class _Engine:
    """What a merge may take of the machine."""

    budget: int
    threads: int

    def schedule(self, outputs: Sequence[Output], checks: Sequence[Check]) -> Schedule:
        """The way to some outputs; raises MergeGraphError if the budget is too small."""
        plan = plan_of(outputs, checks)
        return make_schedule(plan, budget=self.budget, threads=self.threads)

    def run(self, schedule: Schedule, sinks: Sequence[Sink]) -> None:
        """Run it; what is found on the way is told as warnings of Python."""
        with telling_causes(schedule, {}):
            found = execute(schedule, sinks)
        for each in found:
            warn(each, MergeWarning, stacklevel=5)

    def look(self, families: Sequence[Family]) -> None:
        """Warn of models that are not of one family."""
        for each in look(families, budget=self.budget, threads=self.threads):
            warn(each, MergeWarning, stacklevel=5)


def _method(name: str) -> Method:
    known = installed_plugins().methods
    if name not in known:
        raise MergeGraphError(f"no merge method '{name}' is installed{nearest(name, known)}")
    return known[name]


def _states(models: Mapping[str, Any], base: Any, method: Method) -> dict[str, State]:
    """The tensors of all models by their names; the base is the last one."""
    if not isinstance(models, Mapping):
        raise MergeGraphError("merge: models are given by name, as {'a': state_dict, ...}")
    states: dict[str, State] = {name: state_of(name, given) for name, given in models.items()}
    if not states:
        raise MergeGraphError("merge: no models were given")
    if base is not None:
        if BASE in states:
            raise MergeGraphError(f"merge: a model may not be named '{BASE}' when there is a base")
        states[BASE] = state_of(BASE, base)
    elif method.needs_base:
        raise MergeGraphError(f"{method.name} needs a base")
    settle(states.values())
    return states


def _built(
    stage: Stage, states: Mapping[str, State], tied: Mapping[str, str], method: Method, seed: int
) -> Built:
    models = {name: model_of(name, state, tied) for name, state in states.items()}
    built = build_stage(stage, models, method, seed)
    if built.problems:
        raise ProblemsError(built.problems)
    return built


def _merged(stage: Stage, built: Built, tied: Mapping[str, str], engine: _Engine) -> dict[str, Any]:
    """What a stage comes to, in tensors of its own."""
    engine.look(built.families)
    outputs, checks = outputs_of(stage, built.model, Path("merge"))
    schedule = engine.schedule(outputs, [*built.checks, *checks])
    sinks = [TensorSink(output.task.spec) for output in schedule.outputs]
    engine.run(schedule, sinks)
    merged = {output.name: sink.tensor for output, sink in zip(outputs, sinks, strict=True)}
    return {**merged, **{name: merged[at] for name, at in tied.items() if at in merged}}


def _write(
    stage: Stage, built: Built, tied: Mapping[str, str], targets: State, engine: _Engine
) -> None:
    """Put what a stage comes to into targets, once its inputs are known to be sound."""
    outputs, checks = outputs_of(stage, fitted(built.model, targets, tied), Path("merge"))
    check_targets(outputs, targets)
    schedule = engine.schedule(outputs, checks)
    engine.look(built.families)
    _check_inputs(plan_of(outputs, built.checks).checks, engine)
    sinks = sinks_of(schedule, targets)
    with telling(sinks):
        engine.run(schedule, sinks)
        for sink in sinks:
            if sink.is_late:
                sink.land()
    settle([targets])


def _check_inputs(checks: Sequence[Check], engine: _Engine) -> None:
    """Do now the checks that would end a run."""
    fatal = [each for each in checks if each.is_fatal]
    counts = [Output(Path("merge"), each.task.key, each.task) for each in fatal]
    engine.run(engine.schedule(counts, fatal), [TensorSink(each.task.spec) for each in fatal])


def _stage(
    method: Method,
    names: Sequence[str],
    has_base: bool,  # noqa: FBT001
    parameters: Mapping[str, Any],
    dtype: str | None,
    on_missing: str,
    on_nonfinite: str,
) -> Stage:
    own: dict[str, dict[str, tuple[Rule, ...]]] = {name: {} for name in names}
    common: dict[str, tuple[Rule, ...]] = {}
    problems: list[Problem] = []
    for word, value in parameters.items():
        parameter = method.parameters.get(word.rstrip("_"))
        if parameter is None:
            fact = f"no parameter '{word}'{nearest(word, method.parameters)}"
            problems.append(Problem(method.name, fact))
        elif (
            parameter.per_model and isinstance(value, Sequence | Mapping) and type(value) is not str
        ):
            for name, each in _by_model(parameter, value, names).items():
                own[name][parameter.name] = _rules(method, parameter, each, problems)
        else:
            common[parameter.name] = _rules(method, parameter, value, problems)
    if problems:
        raise ProblemsError(problems)
    sources = tuple(Source(name, None, own[name], "merge") for name in names)
    return Stage(
        name=None,
        method=method.name,
        modules=(Module(None, (Slice(sources, None, {}, "merge"),), {}, "merge"),),
        base=BASE if has_base else None,
        parameters=common,
        dtype=dtype,
        out_dtype=None,
        out=None,
        seed=None,
        on_missing=on_missing,
        on_vocab="error",
        on_nonfinite=on_nonfinite,
        tokenizer=None,
        chat_template=None,
        place="merge",
    )


def _by_model(parameter: Parameter, value: Any, names: Sequence[str]) -> dict[str, Any]:
    if isinstance(value, Mapping):
        if value.keys() != set(names):
            given = ", ".join(map(str, value))
            raise MergeGraphError(
                f"{parameter.name}: values for {given}; models are {', '.join(names)}"
            )
        return dict(value)
    if len(value) != len(names):
        raise MergeGraphError(f"{parameter.name}: {len(value)} values for {len(names)} models")
    return dict(zip(names, value, strict=True))


def _rules(
    method: Method, parameter: Parameter, value: Any, problems: list[Problem]
) -> tuple[Rule, ...]:
    if fact := parameter.problem(value):
        problems.append(Problem(method.name, f"{parameter.name} {value} {fact}"))
    return (Rule(None, (parameter.coerce(value),), is_gradient=False, place="merge"),)


def _check_words(**given: tuple[Any, Any]) -> None:
    """Refuse words that a recipe could not hold either."""
    for name, (word, allowed) in given.items():
        if word not in allowed:
            words = ", ".join(str(each) for each in allowed if each is not None)
            raise MergeGraphError(f"merge: {name} {word!r} is not one of {words}")
