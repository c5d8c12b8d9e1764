"""The section on the making: the recipe's stages as a graph, and how one tensor comes about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mergegraph.explaining import drawing, tensor_text
from mergegraph.machine import sized
from mergegraph.models.model import Model
from mergegraph.planning.partition import wholes
from mergegraph.recipe import Stage
from mergegraph.recipe.tree import stage_of
from mergegraph.report.figures import code, disclosed, figure
from mergegraph.report.figures import drawing as boxed
from mergegraph.report.gathering import Looked, Merge
from mergegraph.report.graphs import Edge, Node, graph
from mergegraph.report.markup import Markup, number
from mergegraph.report.page import Section
from mergegraph.report.sections.parameters import courses_of

_MOST_TASKS = 90  # that are drawn of one tensor
_FEW = 3  # parameters that a box tells


def making_section(looked: Looked) -> Section:
    """What is made of what."""
    content = [_stages(looked), *_one_tensor(looked)]
    if looked.recipe.text:
        content.append(disclosed("The recipe as it was written", code(looked.recipe.text)))
    about = "Models on the left, merges to the right of what they are made of. Dashed: the base."
    return Section("How it is made", about, content)


def _stages(looked: Looked) -> Markup:
    stages = {each.name: each for each in looked.recipe.stages if each.name}
    inputs = looked.inputs
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], Edge] = {}
    for merge in looked.merges:
        own = f"stage {merge.stage.name}"
        is_result = merge.stage is looked.recipe.result
        style = "result" if is_result else "merge"
        nodes[own] = Node(own, (merge.name, *_words(merge)), style)
        for reference, is_base in _sources(merge.stage):
            name = stage_of(reference, stages)
            key = f"stage {name}" if name else f"model {reference}"
            nodes.setdefault(key, _leaf(key, reference, inputs))
            before = edges.get((key, own))
            dashed = is_base and (before is None or before.is_dashed)
            edges[key, own] = Edge(key, own, is_dashed=dashed)
    merges, models = len(looked.merges), len(nodes) - len(looked.merges)
    label = f"The graph of {looked.recipe.name}: {merges} merges of {models} models"
    return figure(
        "The recipe as a graph", "", graph(label, list(nodes.values()), list(edges.values()))
    )


def _sources(stage: Stage) -> Iterator[tuple[str, bool]]:
    """Every model of a stage once as a base, and once as one that is merged."""
    if stage.base is not None:
        yield stage.base, True
    for module in stage.modules:
        for part in module.slices:
            if part.base is not None:
                yield part.base, True
            yield from (
                (source.model, False) for source in part.sources if source.model != stage.base
            )


def _leaf(key: str, reference: str, inputs: Mapping[str, Model]) -> Node:
    model = inputs.get(reference)
    if model is None:
        return Node(key, (reference,))
    numel = sum(each.spec.numel for each in model.tensors.values())
    return Node(key, (reference, f"{len(model.tensors)} tensors, {counted(numel)}"))


def counted(numel: int) -> str:
    """So many parameters in few letters."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if numel >= size:
            return f"{number(numel / size, 3)} {unit}"
    return str(numel)


def _words(merge: Merge) -> list[str]:
    """The method of a merge, and those of its parameters that are one number."""
    told: dict[str, str] = {}
    for each in courses_of(merge):
        value = next(iter(each.values.values()), None)
        if not each.is_numeric or isinstance(value, bool):
            continue
        shown = number(float(value or 0)) if each.is_constant else "varies"
        told[each.parameter] = shown if told.get(each.parameter, shown) == shown else "varies"
    few = [f"{name} {value}" for name, value in list(told.items())[:_FEW]]
    return [merge.stage.method, *([", ".join(few)] if few else [])]


def _one_tensor(looked: Looked) -> Iterator[Markup]:
    """How a tensor in the middle of the model comes about."""
    outputs = wholes(looked.plan.outputs)
    if not outputs:
        return
    chosen = outputs[len(outputs) // 2]
    name = next(
        (
            each.name
            for each in looked.plan.outputs
            if (each.part.whole if each.part else each) is chosen
        ),
        chosen.name,
    )
    lines = tensor_text(looked.plan, looked.schedule, name).split("\n")
    told = "\n".join([f"{name}  {chosen.task.spec}, {sized(chosen.task.spec.nbytes)}", *lines[1:]])
    nodes, edges = drawing(looked.plan, name)
    content = [code(told)]
    if len(nodes) <= _MOST_TASKS:
        boxes = [Node(key, label.split("\n")[:4]) for key, label in nodes]
        picture = graph(f"The tasks of {name}", boxes, [Edge(*pair) for pair in edges])
        content.insert(0, boxed(picture, f"The tasks of {name}"))
    yield disclosed(f"How one tensor comes about: {name}", *content)
