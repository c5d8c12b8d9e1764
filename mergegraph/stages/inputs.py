"""The inputs of one output tensor: which take part, and in which shape."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mergegraph import config as configs
from mergegraph.errors import MergeGraphError
from mergegraph.findings import Findings
from mergegraph.methods import Method
from mergegraph.models.experts import is_of_experts, layouts_differ
from mergegraph.models.model import Model
from mergegraph.names import is_embedding, is_head, layer_of, part_of
from mergegraph.ops.arithmetic import cast, crop, extend, load
from mergegraph.recipe import Stage
from mergegraph.stages.outline import Outline, Part
from mergegraph.tasks import Task

WORK = "float32"  # the dtype of all arithmetic


@dataclass(frozen=True, slots=True)
class Input:
    """One model's tensor on its way into a merge; `stored` is its dtype on disk."""

    part: Part
    task: Task
    stored: str
    is_base: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """The inputs to be merged, or the one to be copied instead; neither if there is nothing."""

    merged: tuple[Input, ...] = ()
    copied: Input | None = None


class InputReader:
    """Finds the inputs of a stage's tensors by the policies that the stage states."""

    def __init__(
        self, stage: Stage, method: Method, models: Mapping[str, Model], findings: Findings
    ) -> None:
        self.stage = stage
        self.method = method
        self.donor = models[stage.donor]
        self.findings = findings
        self.vocabularies: dict[int, int] = {}
        self.missing: dict[tuple[str, str, str, str], list[str]] = {}
        self.layouts: dict[str, bool] = {}
        self.lacking: dict[str, list[str]] = {}  # by what becomes of them

    def take(self, outline: Outline) -> Taken:
        """The inputs that there are; those missing are dealt with as `on_missing` says."""
        if outline.is_copy:
            return Taken(copied=self.kept(outline))
        wanted = self.wanted(outline)
        parts = [part for part, _ in wanted]
        heads = {name for name in {part.name for part in parts} if is_head(name)}
        found, missing = [], []
        for part, is_base in wanted:
            task, stored = self.tensor(part, parts, heads)
            if task is None:
                missing.append(part)
            else:
                found.append(Input(part, task, stored, is_base))
        if missing and found and self.stores_otherwise(outline, missing):
            names = f"{missing[0].model.reference} and {found[0].part.model.reference}"
            fact = f"{names} store their experts in different ways, one by one and in one tensor"
            remedy = "load and save one of them with the transformers that saved the other"
            place = missing[0].source.place
            self.findings.wrong(place, f"{outline.name}: {fact}; {remedy}", "experts")
            return Taken()
        if not missing:
            return Taken(tuple(found))
        return self.without(outline, found, missing, self.of_base(outline, parts, heads))

    def kept(self, outline: Outline) -> Input:
        """The tensor of a part that no module of the recipe speaks of."""
        part = outline.parts[0]
        return Input(part, part.model.tensors[part.name], part.model.stored[part.name])

    def of_base(
        self, outline: Outline, parts: Sequence[Part], heads: Collection[str]
    ) -> Input | None:
        """The base's tensor, if it has it; methods need know of no base."""
        if outline.base is None:
            return None
        task, stored = self.tensor(outline.base, parts, heads)
        return None if task is None else Input(outline.base, task, stored, is_base=True)

    def wanted(self, outline: Outline) -> list[tuple[Part, bool]]:
        """Every part that is to take part, and whether it is the base."""
        parts = [(part, False) for part in outline.parts]
        base = outline.base
        if base is None:
            return parts
        listed = [i for i, (part, _) in enumerate(parts) if part.model is base.model]
        if self.method.takes_base:
            if listed:
                del parts[listed[0]]
            return [(base, True), *parts]
        if not listed and outline.slice.length is None:
            told = f"{self.method.name} takes no base: {base.model.reference} is one more model"
            self.findings.note(f"{self.stage.place}: {told} of it, as in mergekit")
            return [*parts, (base, False)]
        return parts

    def tensor(
        self, part: Part, parts: Sequence[Part], heads: Collection[str]
    ) -> tuple[Task | None, str]:
        """The task of a part, and its stored dtype; the head of a tied model is its embedding."""
        model = part.model
        if part.name in heads:
            if all(_is_tied(each) for each in parts):
                return None, ""  # merged once, as the embedding
            if part.name not in model.tensors and configs.ties_head(_config(part)) is not False:
                embedding = next(_embeddings(part), None)
                if embedding:
                    told = f"{part.name} is tied to {embedding}, which stands for it"
                    self.findings.note(f"{model.reference}: {told}")
                    return model.tensors[embedding], model.stored[embedding]
        return model.tensors.get(part.name), model.stored.get(part.name, "")

    def without(
        self,
        outline: Outline,
        found: Sequence[Input],
        missing: Sequence[Part],
        base: Input | None,
    ) -> Taken:
        """What to do where some models lack a tensor."""
        if not found:
            if is_head(outline.name):
                self.findings.note(f"{outline.name}: left out, it is tied to the embedding")
            return Taken()
        names = ", ".join(dict.fromkeys(part.model.reference for part in missing))
        if self.stage.on_missing == "skip":
            self.lacking.setdefault(f"merged without {names}", []).append(outline.name)
            if found == [base] or (self.method.needs_base and base is None):
                return Taken(copied=found[0])
            return Taken(tuple(found))
        if self.stage.on_missing == "drop":
            self.lacking.setdefault(f"left out, not in {names}", []).append(outline.name)
            return Taken()
        if self.stage.on_missing == "base" and base is not None:
            self.lacking.setdefault(f"the base's, not in {names}", []).append(outline.name)
            return Taken(copied=base)
        there = found[0].part.model.reference
        key = (missing[0].source.place, names, there, self.remedy(outline, base))
        self.missing.setdefault(key, []).append(outline.name)
        return Taken()

    def stores_otherwise(self, outline: Outline, missing: Sequence[Part]) -> bool:
        """Whether experts are missing where they are stored the other way; looked for once."""
        if not is_of_experts(outline.name):
            return False
        key = missing[0].model.reference
        if key not in self.layouts:
            self.layouts[key] = layouts_differ(outline.name, missing[0].model.tensors)
        return self.layouts[key]

    def remedy(self, outline: Outline, base: Input | None) -> str:
        """What a user can do about a tensor that some models lack."""
        if outline.base is not None and base is None:
            return "the base has none: set on_missing to skip or drop"
        if self.stage.on_missing == "base":
            return "on_missing is base, but there is no base_model; name one, or use skip"
        return "set on_missing to skip, base or drop"

    def report_missing(self) -> None:
        """Tell of the tensors that some models lack: of many in one model in one sentence."""
        for (place, names, there, remedy), tensors in self.missing.items():
            fact = f"{_some(tensors)}: not in {names}, but in {there}; {remedy}"
            self.findings.wrong(place, fact, f"{names}; {remedy}")
        for fate, tensors in self.lacking.items():
            self.findings.note(f"{_some(tensors)}: {fate}")

    def shaped(self, outline: Outline, inputs: Sequence[Input]) -> list[Input]:
        """Inputs of one shape: vocabularies cut or extended as `on_vocab` says.

        Raises MergeGraphError if the shapes differ otherwise, or if nothing is said.
        """
        shapes = {each.task.spec.shape for each in inputs}
        if len(shapes) == 1:
            return list(inputs)
        told = ", ".join(f"{each.part.model.reference} {each.task.spec.shape}" for each in inputs)
        if len({shape[1:] for shape in shapes}) > 1 or not all(map(_is_vocabulary, inputs)):
            raise MergeGraphError(f"shapes differ: {told}; only models of one architecture merge")
        if self.stage.on_vocab == "error":
            raise MergeGraphError(f"vocabularies differ: {told}; set on_vocab to intersect or base")
        leader = next((each for each in inputs if each.is_base), inputs[0])
        rows = leader.task.spec.shape[0]
        if self.stage.on_vocab == "intersect":
            rows = min(shape[0] for shape in shapes)
        self.findings.note(f"{outline.name}: vocabularies differ ({told}); {rows} rows are kept")
        if outline.name in self.donor.tensors:
            self.vocabularies[self.donor.tensors[outline.name].spec.shape[0]] = rows
        return [_resized(each, rows, leader) for each in inputs]


def _some(names: Sequence[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more tensors" if len(names) > 1 else "")


def _is_tied(head: Part) -> bool:
    """Whether a head, stored or not, is by its model's config the same as an embedding."""
    tensors = head.model.tensors
    shapes = {tensors[name].spec.shape for name in _embeddings(head)}
    stored = tensors.get(head.name)
    fits = bool(shapes) and (stored is None or stored.spec.shape in shapes)
    return fits and bool(configs.ties_head(_config(head)))


def _embeddings(head: Part) -> Iterator[str]:
    """The embeddings of the model that a head belongs to, or of its part."""
    names = head.model.tensors
    return (n for n in names if is_embedding(n) and part_of(n) == part_of(head.name))


def _config(part: Part) -> configs.Config:
    """The config that speaks of a tensor."""
    return configs.config_of(part.model.config, part.name)


def _is_vocabulary(given: Input) -> bool:
    """Whether the rows of a tensor are the tokens of its model's vocabulary."""
    name, spec = given.part.name, given.task.spec
    if is_embedding(name) or is_head(name):
        return True
    sizes = configs.vocabulary_sizes(_config(given.part))
    return layer_of(name) is None and bool(spec.shape) and spec.shape[0] in sizes


def _resized(given: Input, rows: int, leader: Input) -> Input:
    task = given.task
    if task.spec.shape[0] > rows and task.op is load and task.numbers["rows"] is None:
        task = load(entry=task.numbers["entry"], rows=rows)
    elif task.spec.shape[0] > rows:
        task = crop(task, rows=rows)
    elif task.spec.shape[0] < rows:
        task = extend(cast(task, WORK), cast(leader.task, WORK))
    return replace(given, task=task)
