"""The tensors of models over one vocabulary: rows read from where they are, and put together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mergegraph import config as configs
from mergegraph.errors import MergeGraphError
from mergegraph.files.header import Spliced
from mergegraph.models.model import Model
from mergegraph.names import is_embedding, is_head, layer_of
from mergegraph.ops.arithmetic import average, cast, load, narrowed
from mergegraph.ops.gathering import mean_row, put_rows, taken
from mergegraph.rowmap import ABSENT, RowMap
from mergegraph.spec import Spec
from mergegraph.tasks import Task
from mergegraph.vocabulary.choosing import Choice, Chooser, Holder, Rule
from mergegraph.vocabulary.mapping import is_plain_load, mapped_rows, rows_of, width_of

_WORK = "float32"
_FEW_ENTRIES = 2**20  # of other models' rows, as small values are held by every pass
_BIAS = re.compile(
    r"(?:^|\.)(?:final_logits_bias|(?:lm_head|embed_out|output_layer|output_projection"
    r"|predictions|lm_head\.decoder|predictions\.decoder)\.bias)$"
)
_POSITIONS = re.compile(r"posit|wpe|token_type")


def is_of_vocabulary(name: str, spec: Spec, config: configs.Config) -> bool:
    """Whether a tensor has a row, or an entry, for every token."""
    if is_embedding(name) or is_head(name) or _BIAS.search(name):
        return bool(spec.shape) and spec.is_float
    if layer_of(name) is not None or len(spec.shape) != 2 or _POSITIONS.search(name):  # noqa: PLR2004
        return False
    rows, width = spec.shape
    return rows != width and rows in configs.vocabulary_sizes(config)


def embedding_of(model: Model) -> str | None:
    """The name of a model's embedding; of several, the longest one's."""
    found = [name for name in model.tensors if is_embedding(name)] or [
        name
        for name, task in model.tensors.items()
        if not is_head(name) and is_of_vocabulary(name, task.spec, model.config)
    ]
    return max(found, key=lambda name: model.tensors[name].spec.shape[0], default=None)


@dataclass
class RowReader:
    """Makes the tensors of models anew for the tokens of a result."""

    tokens: Sequence[str | None]
    ids: Mapping[str, Mapping[str, int]]
    models: Mapping[str, Model]
    rules: Mapping[str, Rule]
    base: str | None
    _choosers: dict[tuple[int, ...], Chooser] = field(default_factory=dict)
    _choices: dict[tuple[int, ...], dict[str, Choice]] = field(default_factory=dict)

    def model(self, name: str) -> Model:
        """A model, its tensors made anew; itself if nothing changes."""
        model = self.models[name]
        own = dict(model.tensors)
        for tensor, task in model.tensors.items():
            if is_of_vocabulary(tensor, task.spec, model.config):
                own[tensor] = self.task(name, tensor)
        if all(own[each] is task for each, task in model.tensors.items()):
            return model
        heads = {head: self.task(name, head) for head in self.heads_beside(model)}
        like = embedding_of(model)
        stored = {**model.stored, **{head: model.stored[like] for head in heads if like}}
        return replace(model, tensors={**own, **heads}, stored=stored)

    def heads_beside(self, model: Model) -> list[str]:
        """The heads that others have of their own while this model's is its embedding.

        A token that it lacks has a row of theirs in them, and another one in the embedding.
        """
        others = [each for each in self.models.values() if not configs.ties_head(each.config)]
        heads = dict.fromkeys(name for each in others for name in each.tensors if is_head(name))
        is_tied = configs.ties_head(model.config) is not False and embedding_of(model)
        return [head for head in heads if is_tied and head not in model.tensors]

    def task(self, name: str, tensor: str) -> Task:
        """One tensor of a model."""
        sources = {each: self.source(each, tensor) for each in self.models}
        found = {each: task for each, task in sources.items() if task is not None}
        self.check_widths(tensor, found)
        choice = self.choice(name, {each: rows_of(task.spec) for each, task in found.items()})
        return assembled(found, name, choice)

    def check_widths(self, tensor: str, sources: Mapping[str, Task]) -> None:
        """See that rows of models can stand beside each other; raises MergeGraphError if not."""
        if len({width_of(task) for task in sources.values()}) > 1:
            shapes = [
                f"{self.models[name].reference} {task.spec.shape}" for name, task in sources.items()
            ]
            told = ", ".join(shapes)
            raise MergeGraphError(
                f"{tensor}: shapes differ: {told}; only models of one architecture merge"
            )

    def source(self, name: str, tensor: str) -> Task | None:
        """The tensor that a model has for a name; a tied head is the embedding."""
        model = self.models[name]
        if tensor in model.tensors:
            return model.tensors[tensor]
        embedding = embedding_of(model)
        is_tied = is_head(tensor) and configs.ties_head(model.config) is not False
        return model.tensors[embedding] if embedding and is_tied else None

    def choice(self, name: str, rows: Mapping[str, int]) -> Choice:
        """The choice for a model, given how many rows each one's tensor has."""
        key = tuple(rows.get(each, -1) for each in self.models)
        if key not in self._choosers:
            holders = [Holder(each, self.ids[each], count) for each, count in rows.items()]
            self._choosers[key] = Chooser(self.tokens, holders, self.rules, self.base)
            self._choices[key] = {}
        chosen = self._choices[key]
        if name not in chosen:
            holder = next(each for each in self._choosers[key].holders if each.name == name)
            chosen[name] = self._choosers[key].of(holder)
        return chosen[name]


def assembled(sources: Mapping[str, Task], name: str, choice: Choice) -> Task:
    """A model's tensor by a choice of rows."""
    own = sources[name]
    spliced = _spliced(sources, own, choice)
    places = sorted({place for rows in choice.others.values() for place in rows})
    if spliced is not None:
        task = spliced
    elif len(places) * width_of(own) <= _FEW_ENTRIES:
        task = _with_few(sources, own, choice, places)
    else:
        task = _with_many(sources, own, choice)
    if not choice.means:
        return task
    count = len(choice.own) - len(choice.means)
    row = mean_row(task, width=width_of(own), of=count)
    return put_rows(task, row, rows=_placed(len(choice.own), dict.fromkeys(choice.means, 0), 1))


def _spliced(sources: Mapping[str, Task], own: Task, choice: Choice) -> Task | None:
    """Rows of several models read as one tensor; None if they are not all in files as they are."""
    names = [each for (each, share) in choice.others if share == 1]
    tasks = [narrowed(own), *(narrowed(sources[each]) for each in names)]
    is_plain = all(is_plain_load(task) and task.spec.dtype == tasks[0].spec.dtype for task in tasks)
    if not names or len(names) < len(choice.others) or not is_plain:
        return None
    rows, first = list(choice.own), rows_of(own.spec)
    for name in names:
        for place, row in choice.others[name, 1].items():
            rows[place] = first + row
        first += rows_of(sources[name].spec)
    entries = tuple(task.numbers["entry"] for task in tasks)
    spec = Spec((first, *own.spec.shape[1:]), tasks[0].spec.dtype)
    return load(entry=Spliced(entries, spec), rows=RowMap.of_rows(rows, first))


def _with_few(
    sources: Mapping[str, Task], own: Task, choice: Choice, places: Sequence[int]
) -> Task:
    """A model's own rows, into which a few of others are put."""
    task = mapped_rows(own, RowMap.of_rows(_going_on(own, choice, places), rows_of(own.spec)))
    if not places:
        return task
    few = []
    for (each, _), found in choice.others.items():
        rows = RowMap.of_rows(
            (found.get(place, ABSENT) for place in places), rows_of(sources[each].spec)
        )
        few.append(taken(mapped_rows(sources[each], rows)))
    shares = [share for _, share in choice.others]
    specs = {each.spec.dtype for each in (task, *few)}
    if len(few) == 1 and shares == [1] and len(specs) == 1:
        given = few[0]
    else:
        task = cast(task, _WORK)
        given = average(*(cast(each, _WORK) for each in few), weights=shares, normalize=False)
    where = {place: row for row, place in enumerate(places)}
    return put_rows(task, given, rows=_placed(len(choice.own), where, len(places)))


def _with_many(sources: Mapping[str, Task], own: Task, choice: Choice) -> Task:
    """Rows of several models, each in a tensor of zeros, added up."""
    count = len(choice.own)
    parts = [(mapped_rows(own, RowMap.of_rows(choice.own, rows_of(own.spec))), 1.0)]
    for (each, share), found in choice.others.items():
        rows = (found.get(place, ABSENT) for place in range(count))
        source = sources[each]
        parts.append((mapped_rows(source, RowMap.of_rows(rows, rows_of(source.spec))), share))
    tasks = [cast(task, _WORK) for task, _ in parts]
    return average(*tasks, weights=[share for _, share in parts], normalize=False)


def _going_on(own: Task, choice: Choice, places: Sequence[int]) -> Iterator[int]:
    """The model's own rows, and where others are put, whatever it is quickest to read."""
    others, last = set(places), ABSENT
    for place, row in enumerate(choice.own):
        goes_on = place in others and last + 1 < rows_of(own.spec) and (last >= 0 or place == 0)
        last = last + 1 if goes_on else row
        yield last


def _placed(count: int, where: Mapping[int, int], of: int) -> RowMap:
    return RowMap.of_rows((where.get(place, ABSENT) for place in range(count)), of)
