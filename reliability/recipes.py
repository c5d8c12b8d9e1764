"""Strategies: recipes of any method with any parameters, over the models of a world."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from hypothesis import strategies as st

from mergegraph.methods import Method
from mergegraph.parameters import Parameter
from mergegraph.plugins import installed_plugins
from reliability.worlds import World

Document = dict[str, Any]

_FRACTIONS = (0.0, 0.1, 0.25, 0.3, 0.5, 0.75, 0.999, 1.0, -0.5, 2.0, 1e-5)
_COUNTS = (0, 1, 2, 3, 4, 7, 8)  # small enough for steps of an optimiser, too
_FEW_STEPS = {"wudi": {"steps": 5, "learning_rate": 1e-3}}
_DTYPES = ("float32", "bfloat16", "float16", "float64")


@cache
def methods() -> dict[str, Method]:
    """The methods that come with the package."""
    plugins = installed_plugins()
    return {
        name: each
        for name, each in sorted(plugins.methods.items())
        if plugins.package(name).startswith("mergegraph ")
    }


def plain_recipe(method: Method, world: World) -> str:
    """A merge by a method as it is recommended, of as many models as it takes."""
    least, most = int(method.counts.low or 0) or 1, method.counts.high or len(world.models)
    count = max(least, int(min(most, 2)))
    required = {each.name: _least(each) for each in method.parameters.values() if each.required}
    found: Document = {
        "merge_method": method.name,
        "models": [{"model": each} for each in world.models[:count]],
        "parameters": {**required, **method.recommended, **_FEW_STEPS.get(method.name, {})},
    }
    if method.needs_base:
        found["base_model"] = world.base
    return json.dumps(found)


def _least(parameter: Parameter) -> float:
    """A value that is sound whatever the parameter means."""
    return 1 if int in parameter.kinds and float not in parameter.kinds else 0.5


def recipes(world: World) -> st.SearchStrategy[str]:
    """A recipe: one merge, a stack of layers, or stages that stand on each other."""
    kinds = [_documents(world), _staged(world)]
    if world.layers:
        kinds.append(_stacks(world))
    return st.one_of(kinds).map(_text)


def mixtures(world: World) -> st.SearchStrategy[str]:
    """A recipe for experts, some of them with noise or of another scale."""
    expert = st.fixed_dictionaries(
        {"source_model": st.sampled_from(world.models)},
        optional={"noise_scale": st.just(0.1), "residual_scale": st.just(0.5)},
    )
    made = st.fixed_dictionaries(
        {
            "base_model": st.just(world.base),
            "gate_mode": st.sampled_from(["random", "uniform_random"]),
            "experts": st.lists(expert, min_size=2, max_size=3),
            "dtype": st.sampled_from(["bfloat16", "float32"]),
        }
    )
    return made.map(json.dumps)


def _text(documents: Sequence[Document]) -> str:
    return "\n---\n".join(json.dumps(each) for each in documents)


def _documents(world: World) -> st.SearchStrategy[list[Document]]:
    return _merges(world, world.models).map(lambda document: [document])


@st.composite
def _merges(draw: st.DrawFn, world: World, names: Sequence[str]) -> Document:
    """One merge of some models by some method."""
    fit = {name: each for name, each in methods().items() if world.base or not each.needs_base}
    name = draw(st.sampled_from(sorted(fit)))
    method = fit[name]
    low, high = int(method.counts.low or 0) or 1, int(method.counts.high or len(names))
    count = draw(st.integers(min(low, len(names)), min(max(low, high), len(names))))
    chosen = draw(st.permutations(names))[:count]
    found: Document = {"merge_method": name, **world.keys}
    if method.needs_base or (method.takes_base and world.base and draw(st.booleans())):
        found["base_model"] = world.base
    own, shared = _split(draw, method, count)
    found["models"] = [
        {"model": model, **({"parameters": own[i]} if own[i] else {})}
        for i, model in enumerate(chosen)
    ]
    if shared:
        found["parameters"] = shared
    if draw(st.integers(0, 3)) == 0:
        found[draw(st.sampled_from(["dtype", "out_dtype"]))] = draw(st.sampled_from(_DTYPES))
    return found


def _split(
    draw: st.DrawFn, method: Method, count: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Values of parameters, some for each model and some for all."""
    own: list[dict[str, Any]] = [{} for _ in range(count)]
    shared = {}
    for name, each in method.parameters.items():
        if not each.required and draw(st.booleans()):
            continue
        if each.per_model and draw(st.booleans()):
            for values in own:
                values[name] = draw(_values(each))
        else:
            shared[name] = draw(_settings(each))
    return own, shared


def _settings(parameter: Parameter) -> st.SearchStrategy[Any]:
    """A value for all tensors, a gradient over layers, or one for some tensors."""
    value = _values(parameter)
    if float not in parameter.kinds:
        return value
    gradient = st.lists(_numbers(parameter), min_size=2, max_size=3)
    filtered = st.tuples(value, value).map(
        lambda two: [{"filter": "mlp", "value": two[0]}, {"value": two[1]}]
    )
    return st.one_of(value, value, gradient, filtered)


def _values(parameter: Parameter) -> st.SearchStrategy[Any]:
    choices = [st.just(choice) for choice in parameter.choices if choice is not None]
    if bool in parameter.kinds:
        choices.append(st.booleans())
    if int in parameter.kinds and float not in parameter.kinds:
        choices.append(st.sampled_from(_within(parameter, _COUNTS)))
    if float in parameter.kinds:
        choices.append(_numbers(parameter))
    return st.one_of(choices)


def _numbers(parameter: Parameter) -> st.SearchStrategy[Any]:
    return st.sampled_from(_within(parameter, _FRACTIONS))


def _within(parameter: Parameter, values: Sequence[Any]) -> list[Any]:
    within = parameter.within
    return [each for each in values if within is None or each in within]


@st.composite
def _staged(draw: st.DrawFn, world: World) -> list[Document]:
    """Two or three stages, the later ones made of the earlier."""
    first = draw(_merges(world, world.models)) | {"name": "first"}
    names = [*world.models[:2], "first"]
    documents = [first]
    if draw(st.booleans()):
        documents.append(draw(_merges(world, names)) | {"name": "second"})
        names.append("second")
    last = draw(_merges(world, names))
    used = json.dumps([last, *documents[1:]])
    for each in documents:  # every stage is of use
        if f'"{each["name"]}"' not in used.replace(f'"name": "{each["name"]}"', ""):
            last = {"merge_method": "linear", "models": [{"model": n} for n in names[2:]]}
            last |= {"parameters": {"weight": 1}, **world.keys}
            return [first, *documents[1:], last]
    return [*documents, last]


@st.composite
def _stacks(draw: st.DrawFn, world: World) -> list[Document]:
    """Layers of models on top of each other."""
    slices = []
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, world.layers - 1))
        stop = draw(st.integers(start + 1, world.layers))
        model = draw(st.sampled_from(world.models))
        slices.append({"sources": [{"model": model, "layer_range": [start, stop]}]})
    return [{"merge_method": "passthrough", "slices": slices, **world.keys}]
