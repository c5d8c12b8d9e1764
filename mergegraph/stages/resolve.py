"""Parameters resolved: the value that each has for one output tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from mergegraph.errors import Problem
from mergegraph.findings import Findings
from mergegraph.methods import SEEDS, Method
from mergegraph.parameters import Parameter
from mergegraph.recipe import Source, Stage
from mergegraph.recipe.values import Rule, find
from mergegraph.stages.inputs import Input
from mergegraph.stages.outline import Outline


class Resolver:
    """Resolves the parameters of a stage's tensors.

    Tensors of which the recipe says the same have the same values, in one mapping.
    """

    def __init__(self, stage: Stage, method: Method, findings: Findings) -> None:
        self.stage = stage
        self.method = method
        self.findings = findings
        rules = [rule for _, _, rule in _rules_of(stage)]
        self.filters = tuple({rule.filter: None for rule in rules if rule.filter is not None})
        self.has_gradients = any(rule.is_gradient for rule in rules)
        self.known: dict[tuple[Any, ...], Mapping[str, Any]] = {}

    def resolve(self, outline: Outline, models: Sequence[Input]) -> Mapping[str, Any] | None:
        """Every parameter's value; None, and a problem found, if one that is needed is not set.

        Parameters of the method are looked up by the name of the output, those of a model by the
        name of its own tensor.
        """
        said = self.said(outline, models)
        if said not in self.known:
            values = self.found(outline, models)
            if values is None:
                return None
            self.known[said] = MappingProxyType(values)
        return self.known[said]

    def said(self, outline: Outline, models: Sequence[Input]) -> tuple[Any, ...]:
        """All that the values depend on: who speaks of the tensors, and which rules do."""
        names = (outline.name, *[each.part.name for each in models]) if self.filters else ()
        return (
            id(outline.slice),
            id(outline.module),
            *[id(each.part.source) for each in models],
            outline.t if self.has_gradients else None,
            *[held in name for name in names for held in self.filters],
        )

    def found(self, outline: Outline, models: Sequence[Input]) -> dict[str, Any] | None:
        """The values looked up."""
        levels = [outline.slice.parameters, outline.module.parameters, self.stage.parameters]
        values: dict[str, Any] = {}
        complete = True
        for name, parameter in self.method.parameters.items():
            if parameter.per_model:
                own = [(each.part.source, each.part.name) for each in models]
                found = [
                    find([s.parameters, *levels], name, tensor, outline.t) for s, tensor in own
                ]
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
                _report(self.stage, parameter, lacking, outline, self.findings)
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
    filtered = [each for each in _rules_of(stage) if each[2].filter is not None]
    if not filtered:
        return
    outputs: dict[int, dict[str, None]] = {}
    inputs: dict[int, dict[str, None]] = {}
    for outline in outlines:
        holders = (outline.slice, outline.module, stage)
        for holder in holders:
            outputs.setdefault(id(holder), {})[outline.name] = None
        for part in outline.parts:
            for each in (part.source, *holders):
                inputs.setdefault(id(each), {})[part.name] = None
    for holder, name, rule in filtered:
        is_own = name in method.parameters and method.parameters[name].per_model
        held = (inputs if is_own else outputs).get(id(holder), {})
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
        name, place = parameter.name, source.place if source else stage.place
        whose = f" for {source.model}" if source else ""
        fact = f"{stage.method} needs {name}{whose}, and nothing sets it for {outline.name}"
        if source and all(source is not each for each in outline.slice.sources):
            told = (
                f"{stage.method} takes no base: base_model {source.model} is one more model of it"
            )
            remedy = f"list it under models with a {name}, set {name} for all models"
            fact = f"{told}, and nothing sets its {name}; {remedy}, or leave base_model out"
        findings.wrong(place, fact, parameter.name)


def _rules_of(stage: Stage) -> Iterator[tuple[Any, str, Rule]]:
    """Every rule of a stage: what has it among its parameters, for which of them, and the rule."""
    for holder in _holders(stage):
        for name, rules in holder.parameters.items():
            yield from ((holder, name, rule) for rule in rules)


def _holders(stage: Stage) -> Iterator[Any]:
    """Everything in a stage that has parameters."""
    yield stage
    for module in stage.modules:
        yield module
        for part in module.slices:
            yield part
            yield from part.sources
