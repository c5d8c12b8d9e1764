"""Layer ranges that a recipe counts from the end of a model, counted from its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mergegraph.errors import Problem, ProblemsError
from mergegraph.models.model import Model
from mergegraph.recipe import Module, Slice, Source, Stage


def counted(stage: Stage, models: Mapping[str, Model]) -> Stage:
    """The stage with all layer ranges counted from the first layer of their model.

    Raises ProblemsError if a model has too few layers, or none that can be counted.
    """
    modules = []
    for module in stage.modules:
        slices = (_slice(part, module, models) for part in module.slices)
        modules.append(replace(module, slices=tuple(slices)))
    return replace(stage, modules=tuple(modules))


def _slice(part: Slice, module: Module, models: Mapping[str, Model]) -> Slice:
    if all(each.layers is None or each.layers[1] > 0 for each in part.sources):
        return part
    sources = tuple(_source(each, module, models[each.model]) for each in part.sources)
    return replace(part, sources=sources)


def _source(source: Source, module: Module, model: Model) -> Source:
    first, end = source.layers or (0, 0)
    stack = model.main_stack(module.prefix)
    if stack is None:
        fact = f"which layers of {source.model} are meant is not clear; name them as slices"
        raise ProblemsError([Problem(source.place, fact)])
    count = model.stacks[stack]
    if first >= count + end:
        fact = f"{source.model} has {count} layers: nothing is left if {first - end} are removed"
        raise ProblemsError([Problem(source.place, fact)])
    return replace(source, layers=(first, count + end))
