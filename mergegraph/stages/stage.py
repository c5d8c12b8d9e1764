"""One stage of a recipe, made into a model: its output tensors as tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from mergegraph.errors import MergeGraphError, Problem, noting, told_of
from mergegraph.families import Family
from mergegraph.findings import Check, Findings
from mergegraph.methods import ABOUT, About, Method, Request
from mergegraph.models import scaled
from mergegraph.models.experts import holds_experts, parts_of, together
from mergegraph.models.model import Model
from mergegraph.names import is_embedding, is_head, layer_of, layer_stacks
from mergegraph.ops.arithmetic import cast
from mergegraph.ops.folds import count_different
from mergegraph.recipe import Stage
from mergegraph.stages.families import families_of, repeated
from mergegraph.stages.finite import finite
from mergegraph.stages.following import config_of
from mergegraph.stages.inputs import WORK, Input, InputReader
from mergegraph.stages.layers import counted
from mergegraph.stages.outline import Outline, OutlineReader, Part, position
from mergegraph.stages.patterns import Pattern, kind_of, pattern_of
from mergegraph.stages.prefixes import aligned
from mergegraph.stages.resolve import Resolver, draw_keys, unmatched_filters
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
    families: tuple[Family, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]


def build_stage(stage: Stage, models: Mapping[str, Model], method: Method, seed: int) -> Built:
    """Make the tasks of every tensor of a stage; most problems are gathered.

    Raises ProblemsError if it is not clear which layers are meant.
    """
    findings = Findings()
    models = aligned(stage, models, findings)
    stage = counted(stage, models)
    reader = OutlineReader(stage, models)
    outlines = list(reader.outlines())
    findings.problems += [*reader.problems, *unmatched_filters(stage, method, outlines)]
    inputs = InputReader(stage, method, models, findings)
    builder = _Builder(stage, method, seed, inputs, Resolver(stage, method, findings), findings)
    builder.build(outlines)
    inputs.report_missing()
    if kept := [outline for outline in outlines if outline.is_copy]:
        told = f"{len(kept)} tensors that no module speaks of, such as {kept[0].name}"
        findings.note(f"{stage.place}: {told}, are those of {reader.donor.reference}")
    parents = [each for name, _ in stage.models() for each in models[name].parents]
    try:
        config = config_of(reader, builder.tensors, inputs.vocabularies)
    except MergeGraphError as error:
        findings.wrong(stage.place, str(error), "config")
        config = reader.donor.config
    model = Model(
        reference=stage.name or "result",
        tensors=builder.tensors,
        stored=builder.stored,
        config=config,
        sides=reader.donor.sides,
        parents=tuple(dict.fromkeys(parents)),
    )
    return Built(
        model,
        builder.explained,
        tuple(findings.checks.values()),
        tuple(builder.families),
        tuple(findings.notes),
        tuple(findings.problems),
    )


@dataclass(frozen=True)
class _Copy:
    """An output tensor that is taken as it is."""

    chosen: Input


@dataclass(frozen=True)
class _Merge:
    """An output tensor that the method is to make, or one expert of it."""

    request: Request
    base: Input | None
    models: tuple[Input, ...]
    stored: str
    is_part: bool = False

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All that it is made of, the base first."""
        return (self.base, *self.models) if self.base else self.models


@dataclass
class _Builder:
    """Gathers the output tensors of a stage: first what each is made of, then what it comes to."""

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
    families: list[Family] = field(default_factory=list)

    def build(self, outlines: Sequence[Outline]) -> None:
        """Make every output tensor, in order."""
        counts = layer_stacks(outline.name for outline in outlines)
        found = [(outline, self.gather(outline, counts)) for outline in outlines]
        merges = [m for _, each in found if not isinstance(each, _Copy) for m in each]
        inputs = [each.inputs for each in merges]
        self.families = families_of(self.stage.place, inputs)
        for note in repeated(self.stage.place, inputs):
            self.findings.note(note)
        surveyed = iter(self.surveyed(merges))
        for outline, each in found:
            if isinstance(each, _Copy):
                self.copy(outline, each.chosen)
            elif each:
                given = [next(surveyed) for _ in each]
                with self.reporting(outline):
                    self.add(outline, each, given)

    def gather(self, outline: Outline, counts: Mapping[str, int]) -> _Copy | tuple[_Merge, ...]:
        """What an output tensor is made of; nothing if there is none, or a problem was found."""
        taken = self.inputs.take(outline)
        if taken.copied is not None:
            return _Copy(taken.copied)
        if len({each.task.spec.is_float for each in taken.merged}) > 1:
            told = ", ".join(f"{i.part.model.reference} {i.stored}" for i in taken.merged)
            fact = f"{outline.name}: whole numbers and fractions cannot be merged: {told}"
            place = outline.parts[0].source.place
            self.findings.wrong(place, f"{fact}; store both as floats", "kinds")
            return ()
        if taken.merged and not taken.merged[0].task.spec.is_float:
            return self.followed(outline, taken.merged)
        if taken.merged:
            with self.reporting(outline):
                return self.asked(outline, taken.merged, counts)
        return ()

    def followed(self, outline: Outline, inputs: Sequence[Input]) -> _Copy:
        """Whole numbers are the base's, or the first model's; where models disagree it is told."""
        chosen = next((each for each in inputs if each.is_base), inputs[0])
        equal = [each.task for each in inputs if each.task.spec == chosen.task.spec]
        if len(set(equal)) > 1:
            told = f"{outline.name}: the models disagree, {chosen.part.model.reference} is followed"
            self.findings.check(Check(count_different(chosen.task, *equal), told, is_fatal=False))
        return _Copy(chosen)

    def asked(
        self, outline: Outline, inputs: Sequence[Input], counts: Mapping[str, int]
    ) -> tuple[_Merge, ...]:
        """What the method is asked for; raises MergeGraphError if the inputs do not fit."""
        work = self.inputs.shaped(outline, inputs)
        config = work[0].part.model.config
        if not holds_experts(outline.name, work[0].task.spec, config):
            return tuple(self.asked_for(outline, self.finite(work), inputs, counts))
        asked: list[_Merge] = []
        for tasks in zip(*[parts_of(each.task) for each in work], strict=True):
            own = [replace(each, task=task) for each, task in zip(work, tasks, strict=True)]
            asked += self.asked_for(outline, self.finite(own), inputs, counts)
        return tuple(replace(each, is_part=True) for each in asked)

    def finite(self, inputs: Sequence[Input]) -> list[Input]:
        """Inputs with which to reckon, NaN and infinity as the stage says."""
        return finite(inputs, self.stage.on_nonfinite, self.findings)

    def asked_for(
        self,
        outline: Outline,
        work: Sequence[Input],
        inputs: Sequence[Input],
        counts: Mapping[str, int],
    ) -> Iterator[_Merge]:
        """What the method is asked for of inputs of one shape; nothing if that cannot be said."""
        base = next((each for each in work if each.is_base), None)
        models = tuple(each for each in work if not each.is_base)
        if base is None and self.method.needs_base:
            return  # reported where the recipe was read
        values = self.resolver.resolve(outline, models)
        if values is None:
            return
        stored = self.stored_as(outline, inputs)
        at, tasks = base.task if base else None, [each.task for each in models]
        yield _Merge(Request(at, tasks, values, about(outline.name, counts)), base, models, stored)

    def stored_as(self, outline: Outline, inputs: Sequence[Input]) -> str:
        """What a tensor is stored as: what the recipe says, or else what its inputs are."""
        dtype, out_dtype = self.stage.dtype, self.stage.out_dtype
        if out_dtype == scaled.FLOAT8:
            return scaled.stored_dtype(outline.name, inputs[0].task.spec, dtype)
        return out_dtype or dtype or _common_dtype(inputs)

    def copy(self, outline: Outline, chosen: Input) -> None:
        """Take a tensor as it is; floats are rounded and stored as merged ones are."""
        task, stored = chosen.task, chosen.stored
        if task.spec.is_float:
            stored = self.stored_as(outline, [chosen])
            task = scaled.rounded(task, stored) if self.stage.out_dtype else task
        self.keep(outline, task, stored)
        self.explained[outline.name] = Explained((chosen.part,), None, {}, "copy")

    def surveyed(self, merges: Sequence[_Merge]) -> Sequence[Sequence[Task]]:
        """What the method's survey finds for each tensor, nothing where it fails."""
        requests = [each.request for each in merges]
        try:
            found = self.survey(requests)
        except MergeGraphError as error:
            fact = _mixture(self.method, merges) or str(error)  # the mixture is the likely cause
            self.findings.wrong(self.stage.place, fact, fact)
            return [()] * len(merges)
        if any(found) and (mixed := _mixture(self.method, merges)):
            self.findings.wrong(self.stage.place, mixed, mixed)
        return found

    def survey(self, requests: Sequence[Request]) -> Sequence[Sequence[Task]]:
        """What the method's survey finds; raises MergeGraphError whatever happens in it."""
        with told_of(f"method {self.method.name}"):
            return self.method.surveyed(requests)

    def add(
        self, outline: Outline, merges: Sequence[_Merge], surveyed: Sequence[Sequence[Task]]
    ) -> None:
        """Have the method make a tensor, or its parts; raises MergeGraphError if it cannot."""
        if self.findings.problems and self.method.survey:
            return  # the survey may lack what the method is to be given
        merge, made = merges[0], []
        for number, (each, found) in enumerate(zip(merges, surveyed, strict=True)):
            own = replace(outline, name=f"{outline.name}[{number}]") if each.is_part else outline
            made.append(self.merged(own, each, found))
        self.keep(outline, together(made) if merge.is_part else made[0], merge.stored)
        parts = tuple(each.part for each in merge.models)
        at = merge.base.part if merge.base else None
        self.explained[outline.name] = Explained(parts, at, merge.request.values, self.method.name)

    @contextmanager
    def reporting(self, outline: Outline) -> Iterator[None]:
        """Note what goes wrong with a tensor as a problem, at its first source."""
        try:
            yield
        except MergeGraphError as error:
            place = outline.parts[0].source.place
            self.findings.wrong(place, f"{outline.name}: {error}", str(error))

    def keep(self, outline: Outline, task: Task, stored: str) -> None:
        """Note an output tensor."""
        self.tensors[outline.name] = task
        self.stored[outline.name] = stored

    def merged(self, outline: Outline, merge: _Merge, surveyed: Sequence[Task]) -> Task:
        """What the method makes of a request, rounded as the stage says.

        It is called once for inputs of the same kind and the same values: the tensors of a model
        are many, their shapes few.
        """
        request, stored = merge.request, merge.stored
        if self.method.draws:
            drawn = draw_keys(self.stage, self.seed, outline, len(request.models))
            return self.rounded(self.call(request, surveyed, {**request.values, **drawn}), stored)
        own = [request.base, *request.models] if request.base else request.models
        tasks = [*own, *surveyed]
        known = request.about if ABOUT in self.method.fills else None
        kind = (id(request.values), request.base is None, known, stored, *map(kind_of, tasks))
        if (pattern := self.patterns.get(kind)) is not None:
            return pattern.on(tasks)
        result = self.rounded(self.call(request, surveyed, request.values), stored)
        if kind not in self.patterns:
            self.patterns[kind] = pattern_of(result, tasks)
        return result

    def rounded(self, result: Task, stored: str) -> Task:
        """A result as later stages see it."""
        return cast(scaled.rounded(result, stored) if self.stage.out_dtype else result, WORK)

    def warned(self, warning: str) -> None:
        """Note what the method warns of."""
        self.findings.note(f"{self.stage.place}: {self.method.name}: {warning}")

    def call(self, request: Request, surveyed: Sequence[Task], values: Mapping[str, Any]) -> Task:
        """What the method makes of a request; its failures are the user's to know of."""
        own: dict[str, Any] = {k: list(v) if isinstance(v, list) else v for k, v in values.items()}
        base, models, known = request.base, request.models, request.about
        with told_of(f"method {self.method.name}"), noting(self.warned):
            result = self.method(base, models, about=known, survey=surveyed, **own)
        if not isinstance(result, Task):
            raise MergeGraphError(f"{self.method.name} gave {type(result).__name__}, not a task")
        if result.spec.shape != (request.base or request.models[0]).spec.shape:
            raise MergeGraphError(f"{self.method.name} gave the shape {result.spec.shape}")
        return result


def about(name: str, counts: Mapping[str, int]) -> About:
    """What is known of a tensor by its name; `counts` has the layers of each stack."""
    layer = layer_of(name)
    if layer is None:
        return About(is_vocabulary=is_embedding(name) or is_head(name))
    return About(position=position(layer.index, counts[layer.stack]), in_layer=True)


def _mixture(method: Method, merges: Sequence[_Merge]) -> str | None:
    """What is wrong if models are looked at as a whole, and not all of them have all tensors."""
    sources = {tuple(each.part.model.reference for each in merge.models) for merge in merges}
    if len(sources) <= 1:
        return None
    fact = "looks at models as a whole, and here some tensors are made of other models than others"
    return f"{method.name}: {fact}; give it all tensors of the same models"


def _common_dtype(inputs: Sequence[Input]) -> str:
    """The dtype a merge is stored in: the one of all inputs, or one that holds what all hold."""
    dtypes = {each.stored for each in inputs}
    return dtypes.pop() if len(dtypes) == 1 else "float64" if "float64" in dtypes else WORK
