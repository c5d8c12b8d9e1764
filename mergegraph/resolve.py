"""Parameters resolved: the value that each has for one output tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from mergegraph.errors import Problem
from mergegraph.findings import Findings
from mergegraph.inputs import Input
from mergegraph.methods import SEEDS, Method, Parameter
from mergegraph.outline import Outline
from mergegraph.recipe import Source, Stage
from mergegraph.recipe.values import find


def resolve(
    stage: Stage, method: Method, outline: Outline, models: Sequence[Input], findings: Findings
) -> dict[str, Any] | None:
    """Every parameter's value; None, and a problem found, if one that is needed is not set.

    Parameters of the method are looked up by the name of the output, those of a model by the name
    of its own tensor.
    """
    levels = [outline.slice.parameters, outline.module.parameters, stage.parameters]
    values: dict[str, Any] = {}
    complete = True
    for name, parameter in method.parameters.items():
        if parameter.per_model:
            own = [(each.part.source, each.part.name) for each in models]
            found = [find([s.parameters, *levels], name, tensor, outline.t) for s, tensor in own]
            values[name] = [each.value if each else parameter.default for each in found]
            lacking: list[Source | None] = [
                source for (source, _), each in zip(own, found, strict=True) if each is None
            ]
        else:
            one = find(levels, name, outline.name, outline.t)
            values[name] = one.value if one else parameter.default
            lacking = [] if one else [None]
        if parameter.required and lacking:
            complete = False
            _report(stage, parameter, lacking, outline, findings)
    return values if complete else None


def draw_keys(stage: Stage, seed: int, outline: Outline, count: int) -> dict[str, list[int]]:
    """One number for the draws of each model and tensor, whatever else is merged."""
    texts = [f"{seed}\n{stage.name or ''}\n{index}\n{outline.name}" for index in range(count)]
    digests = [blake2b(text.encode(), digest_size=16).digest() for text in texts]
    return {SEEDS: [int.from_bytes(digest, "little") for digest in digests]}


def unmatched_filters(
    stage: Stage, method: Method, outlines: Sequence[Outline]
) -> Iterator[Problem]:
    """Rules for tensors of a name that no tensor they could speak of has."""
    outputs: dict[int, dict[str, None]] = {}
    inputs: dict[int, dict[str, None]] = {}
    for outline in outlines:
        holders = (outline.slice, outline.module, stage)
        for holder in holders:
            outputs.setdefault(id(holder), {})[outline.name] = None
        for part in outline.parts:
            for each in (part.source, *holders):
                inputs.setdefault(id(each), {})[part.name] = None
    for holder in _holders(stage):
        for name, rules in holder.parameters.items():
            is_own = name in method.parameters and method.parameters[name].per_model
            held = (inputs if is_own else outputs).get(id(holder), {})
            for rule in rules:
                if held and not any(map(rule.matches, held)):
                    fact = f"filter '{rule.filter}' matches no tensor; one is {next(iter(held))}"
                    yield Problem(rule.place, fact)


def _report(
    stage: Stage,
    parameter: Parameter,
    sources: Sequence[Source | None],
    outline: Outline,
    findings: Findings,
) -> None:
    for source in sources:
        whose = f" for {source.model}" if source else ""
        place = source.place if source else stage.place
        fact = f"{stage.method} needs {parameter.name}{whose}, and nothing sets it"
        findings.wrong(place, f"{fact} for {outline.name}", parameter.name)


def _holders(stage: Stage) -> Iterator[Any]:
    """Everything in a stage that has parameters."""
    yield stage
    for module in stage.modules:
        yield module
        for part in module.slices:
            yield part
            yield from part.sources
