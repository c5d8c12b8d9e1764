"""Experts that are stored in one tensor, each taken as a tensor of its own.

What a method finds of a tensor, be it a threshold or an angle, is to be that of an expert. So the
tensor of all of them is cut along its first axis, and put together again from what became of each.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from mergegraph.config import Config
from mergegraph.files.header import Entry
from mergegraph.files.reading import MemoryEntry
from mergegraph.names import layer_of
from mergegraph.ops.arithmetic import load, stack
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_NAMED = re.compile(r"\.experts\.[A-Za-z_]\w*$")  # below `experts`, and no number in between
_EXPERT = re.compile(r"(?P<before>.*\.experts)\.(?P<number>\d+)\.")
_AXES = 3  # experts, what goes out, what comes in


def holds_experts(name: str, spec: Spec, config: Config) -> bool:
    """Whether a tensor holds the weights of several experts, along its first axis."""
    if len(spec.shape) < 2 or not spec.is_float or layer_of(name) is None:  # noqa: PLR2004
        return False
    counts = set(_counts(config))
    if _NAMED.search(name):
        return spec.shape[0] in counts if counts else len(spec.shape) >= _AXES
    return len(spec.shape) >= _AXES and spec.shape[0] in counts


def _counts(config: Config) -> list[int]:
    """Every number of experts that a config, or a config inside it, states."""
    found = [config[key] for key in _COUNTS if type(config.get(key)) is int]
    inner = [each for each in config.values() if isinstance(each, Mapping)]
    return found + [count for each in inner for count in _counts(each)]


def parts_of(task: Task) -> tuple[Task, ...]:
    """The rows of a tensor along its first axis, each as a tensor.

    Nothing is copied where they can be read, or computed, alone.
    """
    return tuple(_part(task, number, {}) for number in range(task.spec.shape[0]))


def together(parts: Collection[Task]) -> Task:
    """The tensor of these parts."""
    return stack(*parts)


def is_together(task: Task) -> bool:
    """Whether a tensor is one of parts, as it stands or rounded."""
    while task.op.cut == "pointwise" and len(task.inputs) == 1:
        task = task.inputs[0]
    return task.op is stack and task.numbers["dim"] == 0


def _part(task: Task, number: int, known: dict[str, Task]) -> Task:
    """One of the parts; `known` has those of what it is made of."""
    if task.key not in known:
        known[task.key] = _cut(task, number, known)
    return known[task.key]


def _cut(task: Task, number: int, known: dict[str, Task]) -> Task:
    entry = task.numbers.get("entry")
    if task.op is stack and task.numbers["dim"] == 0:
        return task.inputs[number]
    if task.op is load and task.numbers["rows"] is None and (own := _entry(entry, number)):
        return load(entry=own)
    shapes = {each.spec.shape for each in task.inputs if not each.is_small}
    if task.op.cut == "pointwise" and not task.op.positioned and shapes == {task.spec.shape}:
        own = [each if each.is_small else _part(each, number, known) for each in task.inputs]
        return task.op(*own, **task.numbers)
    return _row(task, number=number)


def _entry(entry: Any, number: int) -> Any:
    """Where a part is; None if that is no matter of an offset."""
    spec = Spec(entry.spec.shape[1:], entry.spec.dtype)
    identity = f"{entry.identity}[{number}]"
    if isinstance(entry, MemoryEntry):
        return MemoryEntry(entry.tensor[number], spec, identity)
    if isinstance(entry, Entry) and not getattr(entry, "axes", ()):
        offset = entry.offset + number * spec.nbytes
        return replace(entry, offset=offset, spec=spec, identity=identity, whole=entry.identity)
    return None


@op(copies=1, infer=lambda tensor, **_: Spec(tensor.shape[1:], tensor.dtype))
def _row(tensor: Any, *, number: int) -> Any:
    return tensor[number].clone()


def is_of_experts(name: str) -> bool:
    """Whether a tensor is an expert's, or that of all of them."""
    return bool(_EXPERT.match(name) or _NAMED.search(name))


def layouts_differ(missing: str, names: Iterable[str]) -> bool:
    """Whether experts that are missing may be there the other way: one by one, or in one tensor."""
    alone = _EXPERT.match(missing)
    layer = layer_of(missing)
    beside = [n for n in names if (own := layer_of(n)) and layer and own.index == layer.index]
    return any((_NAMED.search(each) if alone else _EXPERT.match(each)) for each in beside)
