"""One stage of a recipe, made into a model: its output tensors as tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mergegraph import config as configs
from mergegraph.errors import MergeGraphError, Problem
from mergegraph.findings import Check, Findings
from mergegraph.inputs import WORK, Input, InputReader
from mergegraph.methods import Method
from mergegraph.model import Model
from mergegraph.names import is_head, layer_stacks
from mergegraph.ops.arithmetic import cast
from mergegraph.ops.folds import count_different
from mergegraph.outline import Outline, OutlineReader, Part
from mergegraph.patterns import Pattern, kind_of, pattern_of
from mergegraph.recipe import Stage
from mergegraph.resolve import Resolver, draw_keys, unmatched_filters
from mergegraph.tasks import Task


@dataclass(frozen=True, slots=True)
class Explained:
    """How one output tensor comes about: its inputs and the parameters resolved for it."""

    parts: tuple[Part, ...]
    base: Part | None
    values: Mapping[str, Any]
    how: str


@dataclass(frozen=True)
class Built:
    """A stage as a model, and what is to be known about it."""

    model: Model
    explained: Mapping[str, Explained]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]


def build_stage(stage: Stage, models: Mapping[str, Model], method: Method, seed: int) -> Built:
    """Make the tasks of every tensor of a stage; problems are gathered, not raised."""
    findings = Findings()
    reader = OutlineReader(stage, models)
    outlines = list(reader.outlines())
    findings.problems += [*reader.problems, *unmatched_filters(stage, method, outlines)]
    inputs = InputReader(stage, method, models, findings)
    builder = _Builder(stage, method, seed, inputs, Resolver(stage, method, findings), findings)
    for outline in outlines:
        builder.add(outline)
    inputs.report_missing()
    if kept := [outline for outline in outlines if outline.is_copy]:
        told = f"{len(kept)} tensors that no module speaks of, such as {kept[0].name}"
        findings.note(f"{stage.place}: {told}, are those of {reader.donor.reference}")
    parents = [each for name, _ in stage.models() for each in models[name].parents]
    model = Model(
        reference=stage.name or "result",
        tensors=builder.tensors,
        stored=builder.stored,
        config=_config(reader, builder.tensors, inputs.vocabularies),
        sides=reader.donor.sides,
        parents=tuple(dict.fromkeys(parents)),
    )
    return Built(
        model,
        builder.explained,
        tuple(findings.checks.values()),
        tuple(findings.notes),
        tuple(findings.problems),
    )


@dataclass
class _Builder:
    """Gathers the output tensors of one stage."""

    stage: Stage
    method: Method
    seed: int
    inputs: InputReader
    resolver: Resolver
    findings: Findings
    patterns: dict[tuple[Any, ...], Pattern | None] = field(default_factory=dict)
    tensors: dict[str, Task] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    explained: dict[str, Explained] = field(default_factory=dict)

    def add(self, outline: Outline) -> None:
        """Make one output tensor."""
        taken = self.inputs.take(outline)
        if taken.copied is not None:
            self.copy(outline, taken.copied, [])
        elif len({each.task.spec.is_float for each in taken.merged}) > 1:
            told = ", ".join(f"{i.part.model.reference} {i.stored}" for i in taken.merged)
            fact = f"{outline.name}: whole numbers and fractions cannot be merged: {told}"
            place = outline.parts[0].source.place
            self.findings.wrong(place, f"{fact}; store both as floats", "kinds")
        elif taken.merged and taken.merged[0].task.spec.is_float:
            try:
                self.merge(outline, taken.merged)
            except MergeGraphError as error:
                place = outline.parts[0].source.place
                self.findings.wrong(place, f"{outline.name}: {error}", str(error))
        elif taken.merged:
            chosen = next((each for each in taken.merged if each.is_base), taken.merged[0])
            self.copy(outline, chosen, taken.merged)

    def copy(self, outline: Outline, chosen: Input, others: Sequence[Input]) -> None:
        """Take a tensor as it is; whole numbers are told of where the models disagree."""
        equal = [each.task for each in others if each.task.spec == chosen.task.spec]
        if len(set(equal)) > 1:
            told = f"{outline.name}: the models disagree, {chosen.part.model.reference} is followed"
            self.findings.check(count_different(chosen.task, *equal), told, is_fatal=False)
        self.keep(outline, chosen.task, chosen.stored)
        self.explained[outline.name] = Explained((chosen.part,), None, {}, "copy")

    def merge(self, outline: Outline, inputs: Sequence[Input]) -> None:
        """Have the method make a tensor; raises MergeGraphError if it cannot."""
        work = self.inputs.finite(self.inputs.shaped(outline, inputs))
        base = next((each for each in work if each.is_base), None)
        models = [each for each in work if not each.is_base]
        if base is None and self.method.needs_base:
            return  # reported where the recipe was read
        values = self.resolver.resolve(outline, models)
        if values is None:
            return
        stored = self.stage.out_dtype or self.stage.dtype or _common_dtype(inputs)
        self.keep(outline, self.merged(outline, base, models, values), stored)
        parts = tuple(each.part for each in models)
        at = base.part if base else None
        self.explained[outline.name] = Explained(parts, at, values, self.method.name)

    def keep(self, outline: Outline, task: Task, stored: str) -> None:
        """Note an output tensor."""
        self.tensors[outline.name] = task
        self.stored[outline.name] = stored

    def merged(
        self,
        outline: Outline,
        base: Input | None,
        models: Sequence[Input],
        values: Mapping[str, Any],
    ) -> Task:
        """What the method makes of the inputs, rounded as the stage says.

        It is called once for inputs of the same kind and the same values: the tensors of a model
        are many, their shapes few.
        """
        if self.method.draws:
            drawn = draw_keys(self.stage, self.seed, outline, len(models))
            return self.rounded(self.call(base, models, {**values, **drawn}))
        tasks = [each.task for each in ([base, *models] if base else models)]
        kind = (id(values), base is None, *map(kind_of, tasks))
        if (pattern := self.patterns.get(kind)) is not None:
            return pattern.on(tasks)
        result = self.rounded(self.call(base, models, values))
        if kind not in self.patterns:
            self.patterns[kind] = pattern_of(result, tasks)
        return result

    def rounded(self, result: Task) -> Task:
        """A result as later stages see it."""
        out_dtype = self.stage.out_dtype
        return cast(cast(result, out_dtype) if out_dtype else result, WORK)

    def call(self, base: Input | None, models: Sequence[Input], values: Mapping[str, Any]) -> Task:
        """What the method makes of the inputs; its failures are the user's to know of."""
        tasks = [each.task for each in models]
        own = {name: list(v) if isinstance(v, list) else v for name, v in values.items()}
        try:
            result = self.method(base.task if base else None, tasks, **own)
        except MergeGraphError:
            raise
        except Exception as error:
            fact = f"method {self.method.name} failed: {type(error).__name__}: {error}"
            raise MergeGraphError(fact) from error
        if not isinstance(result, Task):
            raise MergeGraphError(f"{self.method.name} gave {type(result).__name__}, not a task")
        if result.spec.shape != (base or models[0]).task.spec.shape:
            raise MergeGraphError(f"{self.method.name} gave the shape {result.spec.shape}")
        return result


def _common_dtype(inputs: Sequence[Input]) -> str:
    """The dtype a merge is stored in: the one of all inputs, or one that holds what all hold."""
    dtypes = {each.stored for each in inputs}
    return dtypes.pop() if len(dtypes) == 1 else "float64" if "float64" in dtypes else WORK


def _config(
    reader: OutlineReader, tensors: Mapping[str, Task], vocabularies: Mapping[int, int]
) -> configs.Config:
    """The donor's config, following what became of layers, vocabulary and head."""
    donor = reader.donor
    config = donor.config
    if not config:
        return config
    for stack, layers in reader.layers.items():
        sources = [(model.config, at) for model, at in layers]
        config = configs.with_layers(config, stack, donor.stacks.get(stack, 0), sources)
    for stack, count in layer_stacks(tensors).items():
        before = donor.stacks.get(stack, count)
        if stack not in reader.layers and count != before:
            repeated = [(config, min(i, before - 1)) for i in range(count)]
            config = configs.with_layers(config, stack, before, repeated)
    for before, rows in vocabularies.items():
        config = configs.with_vocabulary(config, before, rows)
    heads = [name for name in tensors if is_head(name)]
    if heads and (configs.ties_head(config) or any(name not in donor.tensors for name in heads)):
        config = configs.with_untied_head(config)
    return config
