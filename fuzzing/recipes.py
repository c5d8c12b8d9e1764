"""Recipes, and what changes them from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from mergegraph.errors import ProblemsError
from mergegraph.methods import Method
from mergegraph.moe.reading import read_mixture
from mergegraph.plugins import installed_plugins
from mergegraph.recipe import parse_recipe, read_recipe

_FOLDER = Path(__file__).parent.parent / "recipes"


@cache
def _methods() -> Mapping[str, Method]:
    return installed_plugins().methods


def samples() -> Iterator[bytes]:
    """Sound recipes."""
    for path in sorted(_FOLDER.glob("*.yaml"))[::6]:
        yield path.read_bytes()
    yield b"""name: first
merge_method: ties
base_model: a
models:
- {model: b, parameters: {density: [0.1, 0.5], weight: 1e-1}}
- model: {model: {path: c, revision: main}, lora: d}
parameters: {normalize: true, weight: [{filter: mlp, value: 0.3}, {value: 1}]}
tokenizer: {source: union, tokens: {"<s>": {source: a, force: true}}, pad_to_multiple_of: 8}
---
slices:
- sources: [{model: first, layer_range: [0, 8]}, {model: e, layer_range: [0, 8]}]
merge_method: slerp
base_model: first
parameters: {t: &x 0.5}
out: there
seed: 1
on_nonfinite: base
"""
    yield b'{"merge_method": "linear", "models": [{"model": "a", "parameters": {"weight": 1}}]}'
    yield b"merge_method: passthrough\ndepth_upscaling: {model: a, remove: 2}\n"


def read(folder: Path, data: bytes) -> None:
    """Read a recipe; all that is wrong with it is told at once."""
    path = folder / "recipe.yaml"
    path.write_bytes(data)
    found = read_recipe(str(path), _methods())
    if found.problems:
        raise ProblemsError(found.problems)


def experts() -> Iterator[bytes]:
    """Sound recipes for experts."""
    yield b"""base_model: a
gate_mode: hidden
dtype: bfloat16
experts_per_token: 2
experts:
- {source_model: b, positive_prompts: [code], negative_prompts: [verse]}
- {source_model: c, positive_prompts: ["verse", prose], residual_scale: 0.5}
shared_experts:
- {source_model: d, positive_prompts: [any], residual_scale: 0.1}
"""
    yield b'{"base_model": "a", "gate_mode": "random", "experts": [{"source_model": "b"}]}'


def read_experts(folder: Path, data: bytes) -> None:
    """Read a recipe for experts."""
    path = folder / "experts.yaml"
    path.write_bytes(data)
    read_mixture(str(path))


def settings() -> Iterator[bytes]:
    """Changes to a recipe."""
    yield b"parameters.weight=0.3"
    yield b"models.0.parameters={weight: 2}"
    yield b"models.1.model=x"


def read_setting(_folder: Path, data: bytes) -> None:
    """Change a recipe that is sound."""
    text = "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}\n"
    given = data.decode("utf-8", "surrogateescape")  # as the command line gives it
    found = parse_recipe("recipe.yaml", text, _methods(), [given])
    if found.problems:
        raise ProblemsError(found.problems)
