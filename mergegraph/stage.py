"""One stage of a recipe, made into a model: its output tensors as tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from mergegraph import config as configs
from mergegraph.errors import MergeGraphError, Problem
from mergegraph.methods import SEEDS, Method, Parameter
from mergegraph.model import Model
from mergegraph.names import is_embedding, is_head, layer_of
from mergegraph.ops.arithmetic import cast, crop, extend, fill_nonfinite, load
from mergegraph.ops.folds import count_different, count_nonfinite
from mergegraph.outline import Outline, OutlineReader, Part
from mergegraph.recipe import Source, Stage
from mergegraph.recipe.values import Found, Parameters, Rule, find
from mergegraph.tasks import Task

WORK = "float32"


@dataclass(frozen=True)
class Check:
    """A count that is to be zero, and what it means if it is not."""

    task: Task
    fact: str
    is_fatal: bool


@dataclass(frozen=True)
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
    checks: tuple[Check, ...]
    explained: Mapping[str, Explained]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]


def build_stage(stage: Stage, models: Mapping[str, Model], method: Method, seed: int) -> Built:
    """Make the tasks of every tensor of a stage; problems are gathered, not raised."""
    return _Builder(stage, models, method, seed).build()


@dataclass
class _Input:
    """One model's tensor on its way into a merge."""

    part: Part
    task: Task
    stored: str
    is_base: bool = False


@dataclass
class _Builder:
    stage: Stage
    models: Mapping[str, Model]
    method: Method
    seed: int
    problems: list[Problem] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)
    tensors: dict[str, Task] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    explained: dict[str, Explained] = field(default_factory=dict)
    vocabularies: dict[int, int] = field(default_factory=dict)
    reported: set[tuple[str, ...]] = field(default_factory=set)

    def build(self) -> Built:
        reader = OutlineReader(self.stage, self.models)
        outlines = list(reader.outlines())
        self.problems += reader.problems
        self.problems += _unmatched_filters(self.stage, outlines)
        for outline in outlines:
            self.add(outline)
        model = Model(
            reference=self.stage.name or "result",
            tensors=self.tensors,
            stored=self.stored,
            config=self.config(reader),
            sides=reader.donor.sides,
            parents=tuple(
                dict.fromkeys(
                    p for name, _ in self.stage.models() for p in self.models[name].parents
                )
            ),
        )
        return Built(
            model,
            tuple(self.checks.values()),
            self.explained,
            tuple(self.notes),
            tuple(self.problems),
        )

    def add(self, outline: Outline) -> None:
        """Make one output tensor."""
        inputs = self.present(outline)
        if not inputs:
            return
        if outline.is_copy or not all(each.task.spec.is_float for each in inputs):
            self.copy(outline, inputs)
            return
        try:
            inputs = self.shaped(outline, inputs)
            self.merge(outline, inputs)
        except MergeGraphError as error:
            self.wrong(outline.parts[0].source.place, f"{outline.name}: {error}", str(error))

    def copy(self, outline: Outline, inputs: Sequence[_Input]) -> None:
        """Take a tensor as it is: no module speaks of it, or its entries are no quantities."""
        chosen = next((each for each in inputs if each.is_base), inputs[0])
        others = [each.task for each in inputs if each.task.spec == chosen.task.spec]
        if len(set(others)) > 1:
            told = f"{outline.name}: the models disagree; copied from {chosen.part.model.reference}"
            self.check(count_different(chosen.task, *others), told, is_fatal=False)
        self.tensors[outline.name] = chosen.task
        self.stored[outline.name] = chosen.stored
        self.explained[outline.name] = Explained((chosen.part,), None, {}, "copied")

    def merge(self, outline: Outline, inputs: Sequence[_Input]) -> None:
        base = next((each for each in inputs if each.is_base), None)
        finite = self.finite(inputs)
        models = [each for each in finite if not each.is_base]
        values = self.values(outline, models)
        if values is None:
            return
        given = {name: values[name] for name in values if name != SEEDS}
        result = self.call(next((i for i in finite if i.is_base), None), models, values)
        if result.spec.shape != inputs[0].task.spec.shape:
            raise MergeGraphError(f"{self.method.name} gave the shape {result.spec.shape}")
        stored = self.stage.out_dtype or self.stage.dtype or _common_dtype(base, inputs)
        rounded = cast(result, self.stage.out_dtype) if self.stage.out_dtype else result
        self.tensors[outline.name] = cast(rounded, WORK)
        self.stored[outline.name] = stored
        parts = tuple(each.part for each in models)
        how = self.method.name
        self.explained[outline.name] = Explained(parts, base.part if base else None, given, how)

    def call(self, base: _Input | None, models: Sequence[_Input], values: Any) -> Task:
        """What the method makes of the inputs; its failures are the user's to know of."""
        try:
            result = self.method(
                base.task if base else None, [each.task for each in models], **values
            )
        except MergeGraphError:
            raise
        except Exception as error:
            fact = f"method {self.method.name} failed: {type(error).__name__}: {error}"
            raise MergeGraphError(fact) from error
        if not isinstance(result, Task):
            raise MergeGraphError(f"{self.method.name} gave {type(result).__name__}, not a task")
        return result

    # -- which inputs take part ------------------------------------------------------------

    def present(self, outline: Outline) -> list[_Input]:
        """The inputs that exist, missing ones dealt with as `on_missing` says; the base marked."""
        wanted = [(part, False) for part in outline.parts]
        if outline.base is not None and not outline.is_copy:
            wanted = self.with_base(outline, wanted)
        found = []
        missing = []
        for part, is_base in wanted:
            task, stored = self.tensor(part, wanted)
            if task is None:
                missing.append(part)
            else:
                found.append(_Input(part, task, stored, is_base))
        if not missing:
            return found
        return self.without(outline, found, missing)

    def with_base(
        self, outline: Outline, wanted: list[tuple[Part, bool]]
    ) -> list[tuple[Part, bool]]:
        """The base among the inputs, first: taken out of the models, or one more of them."""
        base = outline.base
        assert base is not None
        listed = [i for i, (part, _) in enumerate(wanted) if part.model is base.model]
        if self.method.takes_base:
            if listed:
                del wanted[listed[0]]
            return [(base, True), *wanted]
        if not listed and outline.slice.length is None:
            told = (
                f"{self.method.name} takes no base: {base.model.reference} is one more model of it"
            )
            self.notes[f"{self.stage.place}: {told}, as in mergekit"] = None
            return [*wanted, (base, False)]
        return wanted

    def tensor(self, part: Part, wanted: Sequence[tuple[Part, bool]]) -> tuple[Task | None, str]:
        """The task of an input, and its stored dtype; a tied head is its embedding."""
        model = part.model
        if is_head(part.name):
            if self.all_tied(wanted):
                return None, ""
            if part.name not in model.tensors and configs.ties_head(model.config) is not False:
                embedding = next((name for name in model.tensors if is_embedding(name)), None)
                if embedding:
                    told = f"{part.name} is tied to {embedding}, which stands for it"
                    self.notes[f"{model.reference}: {told}"] = None
                    return model.tensors[embedding], model.stored[embedding]
        return model.tensors.get(part.name), model.stored.get(part.name, "")

    def all_tied(self, wanted: Sequence[tuple[Part, bool]]) -> bool:
        """Whether every model has its head tied to its embedding, so that it is merged once."""
        models = [part.model for part, _ in wanted]
        return all(
            configs.ties_head(model.config) and any(map(is_embedding, model.tensors))
            for model in models
        )

    def without(
        self, outline: Outline, found: list[_Input], missing: Sequence[Part]
    ) -> list[_Input]:
        if not found:
            if is_head(outline.name):
                self.notes[f"{outline.name}: left out, it is tied to the embedding"] = None
            return []
        names = ", ".join(dict.fromkeys(part.model.reference for part in missing))
        base = next((each for each in found if each.is_base), None)
        if self.stage.on_missing == "skip":
            self.notes[f"{outline.name}: merged without {names}, which has no such tensor"] = None
            no_base = self.method.needs_base and base is None
            if no_base or found == [base]:
                self.copy(outline, found)
                return []
            return found
        if self.stage.on_missing == "base" and base is not None:
            self.notes[f"{outline.name}: taken from the base, {names} has no such tensor"] = None
            self.copy(outline, [base])
            return []
        fact = f"{outline.name}: not in {names}, but in {found[0].part.model.reference}"
        self.wrong(missing[0].source.place, f"{fact}; set on_missing to skip or base", outline.name)
        return []

    # -- shapes and entries ----------------------------------------------------------------

    def shaped(self, outline: Outline, inputs: list[_Input]) -> list[_Input]:
        """Inputs of one shape: vocabularies cut or extended as `on_vocab` says."""
        shapes = {each.task.spec.shape for each in inputs}
        if len(shapes) == 1:
            return inputs
        told = ", ".join(f"{each.part.model.reference} {each.task.spec.shape}" for each in inputs)
        rows = {shape[0] if shape else 0 for shape in shapes}
        vocabulary = len({shape[1:] for shape in shapes}) == 1 and all(map(_is_vocabulary, inputs))
        if not vocabulary:
            raise MergeGraphError(f"shapes differ: {told}")
        if self.stage.on_vocab == "error":
            raise MergeGraphError(f"vocabularies differ: {told}; set on_vocab to intersect or base")
        leader = next((each for each in inputs if each.is_base), inputs[0])
        wanted = min(rows) if self.stage.on_vocab == "intersect" else leader.task.spec.shape[0]
        self.notes[f"{outline.name}: vocabularies differ ({told}); {wanted} rows are kept"] = None
        donor = self.models[self.stage.donor].tensors.get(outline.name)
        if donor is not None:
            self.vocabularies[donor.spec.shape[0]] = wanted
        return [_resized(each, wanted, leader) for each in inputs]

    def finite(self, inputs: Sequence[_Input]) -> list[_Input]:
        """Inputs in the dtype of the arithmetic, other than finite entries dealt with."""
        work = [_Input(i.part, cast(i.task, WORK), i.stored, i.is_base) for i in inputs]
        if self.stage.on_nonfinite == "raise":
            for given, each in zip(inputs, work, strict=True):
                told = f"{each.part.model.reference}: {each.part.name} has NaN or infinite entries"
                remedy = "; set on_nonfinite to base or propagate to merge all the same"
                if given.task.op is load:
                    self.check(count_nonfinite(each.task), told + remedy, is_fatal=True)
        if self.stage.on_nonfinite != "base":
            return work
        stand_in = next((each for each in work if each.is_base), None)
        for each in work:
            others = (
                [stand_in]
                if stand_in and each is not stand_in
                else [o for o in work if o is not each]
            )
            if others:
                each.task = fill_nonfinite(each.task, *(other.task for other in others))
        return work

    def check(self, task: Task, fact: str, *, is_fatal: bool) -> None:
        self.checks.setdefault(task.key, Check(task, fact, is_fatal))

    # -- parameters ------------------------------------------------------------------------

    def values(self, outline: Outline, models: Sequence[_Input]) -> dict[str, Any] | None:
        """Every parameter's value for one tensor; None if one is missing."""
        levels = [outline.slice.parameters, outline.module.parameters, self.stage.parameters]
        values: dict[str, Any] = {}
        complete = True
        for name, parameter in self.method.parameters.items():
            if parameter.per_model:
                found = [
                    find([each.part.source.parameters, *levels], name, each.part.name, outline.t)
                    for each in models
                ]
                values[name] = [_value(each, parameter) for each in found]
                lacking = [
                    m.part.source for m, each in zip(models, found, strict=True) if each is None
                ]
            else:
                one = find(levels, name, outline.name, outline.t)
                values[name] = _value(one, parameter)
                lacking = [] if one else [None]  # type: ignore[list-item]
            if parameter.required and lacking:
                complete = False
                self.lacks(parameter, lacking, outline)
        if self.method.draws:
            values[SEEDS] = [self.draw_key(i, outline.name) for i in range(len(models))]
        return values if complete else None

    def lacks(
        self, parameter: Parameter, sources: Sequence[Source | None], outline: Outline
    ) -> None:
        for source in sources:
            whose = f" for {source.model}" if source else ""
            place = source.place if source else self.stage.place
            fact = f"{self.method.name} needs {parameter.name}{whose}"
            self.wrong(place, f"{fact}, and nothing sets it for {outline.name}", parameter.name)

    def draw_key(self, index: int, name: str) -> int:
        """One number for the draws of each model and tensor, whatever else is merged."""
        text = f"{self.seed}\n{self.stage.name or ''}\n{index}\n{name}"
        return int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "little")

    def wrong(self, place: str, fact: str, kind: str) -> None:
        """Report a problem, but one of a kind at a place only once."""
        if (place, kind) not in self.reported:
            self.reported.add((place, kind))
            self.problems.append(Problem(place, fact))

    # -- what goes with the weights --------------------------------------------------------

    def config(self, reader: OutlineReader) -> configs.Config:
        """The donor's config, following what became of layers, vocabulary and head."""
        donor = reader.donor
        config = donor.config
        if not config:
            return config
        for stack, layers in reader.layers.items():
            before = donor.stacks.get(stack, 0)
            config = configs.with_layers(config, before, [(m.config, at) for m, at in layers])
        for before, rows in self.vocabularies.items():
            config = configs.with_vocabulary(config, before, rows)
        gained = any(is_head(name) and name not in donor.tensors for name in self.tensors)
        if any(map(is_head, self.tensors)) and (gained or configs.ties_head(config)):
            config = configs.with_untied_head(config)
        return config


def _value(found: Found | None, parameter: Parameter) -> Any:
    return found.value if found else parameter.default


def _common_dtype(base: _Input | None, inputs: Sequence[_Input]) -> str:
    """The dtype a merge is stored in: the base's, or the one that holds what all hold."""
    dtypes = {base.stored} if base else {each.stored for each in inputs}
    return dtypes.pop() if len(dtypes) == 1 else "float64" if "float64" in dtypes else WORK


def _is_vocabulary(given: _Input) -> bool:
    """Whether the rows of a tensor are the tokens of its model's vocabulary."""
    name, spec = given.part.name, given.task.spec
    if is_embedding(name) or is_head(name):
        return True
    sizes = configs.vocabulary_sizes(given.part.model.config)
    return layer_of(name) is None and bool(spec.shape) and spec.shape[0] in sizes


def _resized(given: _Input, rows: int, leader: _Input) -> _Input:
    task = given.task
    if task.spec.shape[0] > rows:
        if task.op is load:
            task = load(entry=task.numbers["entry"], rows=rows)
        else:
            task = crop(task, rows=rows)
    elif task.spec.shape[0] < rows:
        task = extend(cast(task, WORK), cast(leader.task, WORK))
    return _Input(given.part, task, given.stored, given.is_base)


def _unmatched_filters(stage: Stage, outlines: Sequence[Outline]) -> Iterator[Problem]:
    """Rules for tensors that no tensor they could speak of is named like."""
    outputs: dict[int, dict[str, None]] = {}
    inputs: dict[int, dict[str, None]] = {}
    for outline in outlines:
        holders: list[Any] = [outline.slice, outline.module, stage]
        for part in outline.parts:
            for holder in (part.source, *holders):
                inputs.setdefault(id(holder), {})[part.name] = None
        for holder in holders:
            outputs.setdefault(id(holder), {})[outline.name] = None
    for holder in _holders(stage):
        names = {**outputs.get(id(holder), {}), **inputs.get(id(holder), {})}
        for rule in _rules(holder.parameters):
            if names and not any(map(rule.matches, names)):
                fact = (
                    f"filter '{rule.filter}' matches no tensor's name, such as {next(iter(names))}"
                )
                yield Problem(rule.place, fact)


def _holders(stage: Stage) -> Iterator[Any]:
    yield stage
    for module in stage.modules:
        yield module
        for part in module.slices:
            yield part
            yield from part.sources


def _rules(parameters: Parameters) -> Iterator[Rule]:
    return (rule for rules in parameters.values() for rule in rules)
