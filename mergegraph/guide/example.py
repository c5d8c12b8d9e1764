"""An example of a method at work: models of the demo family, at the values that are recommended."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from mergegraph.files.reading import MemoryEntry
from mergegraph.methods import SEEDS, About, Method, Request
from mergegraph.ops.arithmetic import load
from mergegraph.parameters import Parameter
from mergegraph.scheduling.drafts import make_drafts
from mergegraph.spec import Spec
from mergegraph.tasks import Task, walk

BASE = "demo:base"
EXPERTS = ("north", "east", "south", "west", "north-seed1", "north-seed2")
_USUAL = 4  # models that are merged if the method has no wish
_ABOUTS = (About(0.0, in_layer=True), About(1.0, in_layer=True))  # a model of two layers,
_SPEC = Spec((512, 256), "float32")  # a matrix in each


@dataclass(frozen=True)
class Example:
    """What a method can be given, and what it makes of it.

    `values` are those that a recipe has to state. Of a method that refuses all that it is tried
    with `merged` is empty; of one that looks at whole models `is_surveyed` says whether it does so
    here.
    """

    method: Method
    count: int
    has_base: bool
    values: Mapping[str, Any]
    merged: tuple[Task, ...] = ()
    is_surveyed: bool = False

    @property
    def passes(self) -> int | None:
        """How many passes over each tensor there are; None if the method refused."""
        if not self.merged:
            return None
        drafts, _ = make_drafts(list(walk(*self.merged)), self.merged)
        return -(-len(drafts) // len(self.merged))

    @property
    def recipe(self) -> str:
        """The same as a recipe, of models of the demo family."""
        lines = [f"merge_method: {self.method.name}"]
        lines += [f"base_model: {BASE}"] * self.has_base
        lines += ["models:"]
        lines += [f"  - model: demo:{name}" for name in islice(cycle(EXPERTS), self.count)]
        lines += ["parameters:"] * bool(self.values)
        lines += [f"  {name}: {written(value)}" for name, value in self.values.items()]
        return "\n".join(lines) + "\n"


def written(value: Any) -> str:
    """A parameter's value as YAML."""
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else json.dumps(value)


def example_of(method: Method) -> Example:
    """An example with as many models as are usual and taken, and with a base if it may have one."""
    known = method.parameters
    values = {
        name: method.recommended.get(name, _made_up(each))
        for name, each in known.items()
        if name in method.recommended or each.required
    }
    ways = [Example(method, count, has_base, values) for count, has_base in _ways(method)]
    for each in ways:
        try:
            return _tried(each)
        except Exception:  # noqa: BLE001, S112 - it refuses, or a stranger's code fails
            continue
    return ways[0]


def _ways(method: Method) -> Iterator[tuple[int, bool]]:
    """How many models there may be, and whether there is a base."""
    low, high = int(method.counts.low or 0), method.counts.high
    most = max(low, 1, _USUAL if high is None else int(min(_USUAL, high)))
    for count in range(most, max(low, 1) - 1, -1):
        yield from [(count, True)] * method.takes_base
        yield from [(count, False)] * (not method.needs_base)


def _made_up(parameter: Parameter) -> Any:
    """A value for a parameter that has no default."""
    within = parameter.within
    bounds = (within.low, within.high) if within else ()
    tried = (1, 0.5, *bounds, True, *parameter.choices, "word")
    return next((each for each in tried if parameter.problem(each) is None), None)


def _tried(example: Example) -> Example:
    """The example with what the method makes of it; raises whatever the method does."""
    method, count = example.method, example.count
    values = {name: _value(each, example) for name, each in method.parameters.items()}
    requests = [
        Request(
            _made_up_tensor(f"{i} of the base") if example.has_base else None,
            [_made_up_tensor(f"{i} of model {j}") for j in range(count)],
            values,
            about,
        )
        for i, about in enumerate(_ABOUTS)
    ]
    found = method.surveyed(requests)
    drawn = {SEEDS: list(range(count))} if method.draws else {}
    merged = [
        method(each.base, each.models, about=each.about, survey=own, **values, **drawn)
        for each, own in zip(requests, found, strict=True)
    ]
    return Example(method, count, example.has_base, example.values, tuple(merged), any(found))


def _value(parameter: Parameter, example: Example) -> Any:
    """What the method is given for a parameter."""
    value = parameter.coerce(example.values.get(parameter.name, parameter.default))
    return [value] * example.count if parameter.per_model else value


def _made_up_tensor(name: str) -> Task:
    return load(entry=MemoryEntry(None, _SPEC, f"made up: {name}"))
