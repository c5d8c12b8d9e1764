"""Scenes: merges that take a second or more, for runs to be killed in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.family import WEIGHTS, header_of, make_family, to_bfloat16
from benchmarks.shapes import Architecture
from mergegraph.strips import STRIP
from reliability.jobs import Kind

MIB = 2**20
LAYERS = Architecture(8, 768, 2048, 8000, 12, 4)  # 120 MiB each
HUGE = {"layers.0.weight": (2**17, 2**11), "norm.weight": (2**11,)}  # 512 MiB in one tensor
FUSED = {
    "model.layers.0.mlp.experts.down_proj": (8, 1024, 1536),
    "model.layers.0.mlp.experts.gate_up_proj": (8, 2048, 1024),
    "model.layers.1.mlp.experts.down_proj": (8, 1024, 1536),
    "model.norm.weight": (1024,),
}
SMALL = {
    "model.layers.0.mlp.experts.down_proj": (3, 40, 50),
    "model.layers.0.up_proj.weight": (90, 64),
    "model.layers.1.up_proj.weight": (90, 64),
    "long.weight": (2, 3001),
    "model.norm.weight": (64,),
}
_STRIP = 2**20
_FOLDERS = ("base", "a", "b")


@dataclass(frozen=True)
class Scene:
    """What is merged, and the budgets that it is run with."""

    name: str
    family: str
    recipes: tuple[Any, ...]
    memories: tuple[str, ...] = ("48MiB", "96MiB", "1GiB")
    kind: Kind = "run"
    weight: int = 3  # how often it is chosen
    strip: int = STRIP
    every: int | None = None


def merge(method: str, *names: str, base: bool = True, **parameters: Any) -> dict[str, Any]:
    """A recipe."""
    return {
        "merge_method": method,
        **({"base_model": "{root}/base"} if base else {}),
        "models": [{"model": f"{{root}}/{name}"} for name in names],
        "parameters": parameters,
    }


LINEAR = merge("linear", "a", "b", base=False, weight=1)
TIES = merge("ties", "a", "b", weight=1, density=0.3)
GLOBAL = merge("ties", "a", "b", weight=1, density=0.3, scope="global")
DARE = merge("dare_ties", "a", "b", weight=1, density=0.3)
DELLA = merge("della", "a", "b", weight=1, density=0.4)
DELLA_OF_TENSORS = merge("della", "a", "b", weight=1, density=0.4, group="tensor")
BREADCRUMBS = merge("breadcrumbs", "a", "b", weight=1, density=0.6, gamma=0.05)
STOCK = merge("model_stock", "a", "b")
STAGES = (
    LINEAR | {"name": "average"},
    TIES | {"name": "trimmed", "models": [{"model": "average"}, {"model": "{root}/b"}]},
    {
        "merge_method": "slerp",
        "base_model": "average",
        "models": [{"model": "average"}, {"model": "trimmed"}],
        "parameters": {"t": 0.3},
    },
)
MIXTURE = {
    "base_model": "{root}/base",
    "gate_mode": "random",
    "dtype": "bfloat16",
    "experts": [
        {"source_model": "{root}/a", "noise_scale": 0.1},
        {"source_model": "{root}/b"},
    ],
}
_TINY = ("48MiB", "64MiB", "1GiB")
_LARGE = ("64MiB", "64MiB", "200MiB")

SMALL_SCENES = (
    Scene("small, every strip noted, ties", "small", (TIES,), _TINY, strip=512, every=1, weight=8),
    Scene(
        "small, every strip noted, five methods at once",
        "small",
        (TIES, GLOBAL, DELLA_OF_TENSORS, BREADCRUMBS, STOCK),
        _TINY,
        strip=512,
        every=1,
        weight=8,
    ),
    Scene(
        "small, every strip noted, stages", "small", (STAGES,), _TINY, strip=512, every=1, weight=8
    ),
)
SCENES = (
    Scene("linear", "layers", (LINEAR,)),
    Scene("ties", "layers", (TIES,)),
    Scene("ties, whole models", "layers", (GLOBAL,)),
    Scene("dare_ties", "layers", (DARE,)),
    Scene("della", "layers", (DELLA,)),
    Scene("breadcrumbs", "layers", (BREADCRUMBS,)),
    Scene("model_stock", "layers", (STOCK,)),
    Scene("three recipes at once", "layers", (LINEAR, TIES, DARE), weight=4),
    Scene("three stages", "layers", (STAGES,)),
    Scene("experts in one tensor, ties", "fused", (TIES,), weight=4),
    Scene("experts in one tensor, ties, whole models", "fused", (GLOBAL,)),
    Scene("moe", "layers", (MIXTURE,), kind="moe", weight=2),
    Scene("extract-lora", "layers", ("{root}/a", "{root}/base"), kind="extract-lora", weight=1),
    *SMALL_SCENES,
    Scene("tensor of 512 MiB, linear", "huge", (LINEAR,), _LARGE, weight=2),
    Scene("tensor of 512 MiB, ties", "huge", (TIES,), _LARGE, weight=2),
    Scene("tensor of 512 MiB, ties, whole models", "huge", (GLOBAL,), _LARGE, weight=1),
    Scene("tensor of 512 MiB, dare_ties", "huge", (DARE,), _LARGE, weight=1),
    Scene("tensor of 512 MiB, della", "huge", (DELLA,), _LARGE, weight=1),
)


def short_scenes() -> tuple[Scene, ...]:
    """The scenes of which each takes a fraction of a second."""
    return SMALL_SCENES


def write_scene(scene: Scene, folder: Path) -> tuple[str, ...]:
    """Write the models of a scene, if they are not there, and its recipes; gives their paths."""
    root = folder / scene.family
    _FAMILIES[scene.family](root)
    if scene.kind == "extract-lora":
        return tuple(each.replace("{root}", str(root)) for each in scene.recipes)
    paths = []
    for number, recipe in enumerate(scene.recipes):
        documents = recipe if isinstance(recipe, tuple) else (recipe,)
        text = "\n---\n".join(json.dumps(each) for each in documents)
        path = folder / f"{_word(scene.name)}-{number}.yaml"
        path.write_text(text.replace("{root}", str(root)))
        paths.append(str(path))
    return tuple(paths)


def clear(folder: Path) -> None:
    """Remove all models."""
    shutil.rmtree(folder, ignore_errors=True)


def _word(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _layers(root: Path) -> None:
    make_family(root, LAYERS)
    for config in root.glob("*/config.json"):
        told = json.loads(config.read_text())
        config.write_text(json.dumps({**told, "num_hidden_layers": LAYERS.layers}))


def write_tensors(
    root: Path, shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any] | None = None
) -> None:
    """Write a base and two models of it in bfloat16, strip by strip."""
    if (root / "done").exists():
        return
    for name in _FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / "config.json").write_text(json.dumps(dict(config or {})))
    files = [(root / name / WEIGHTS).open("wb") for name in _FOLDERS]
    for file in files:
        file.write(header_of(shapes))
    for number, shape in enumerate(shapes.values()):
        for start in range(0, prod(shape), _STRIP):
            _write_strip(files, [number, start], min(_STRIP, prod(shape) - start))
    for file in files:
        file.close()
    (root / "done").touch()


def _write_strip(files: list[Any], key: list[int], count: int) -> None:
    drawn = np.random.default_rng(key)
    base = drawn.random(count, dtype=np.float32) - np.float32(0.5)
    for number, file in enumerate(files):
        change = np.float32(0.1) * (drawn.random(count, dtype=np.float32) - np.float32(0.5))
        file.write(to_bfloat16(base + change if number else base).data)


_FAMILIES: Mapping[str, Callable[[Path], None]] = {
    "layers": _layers,
    "huge": lambda root: write_tensors(root, HUGE),
    "small": lambda root: write_tensors(root, SMALL, {"num_local_experts": 3}),
    "fused": lambda root: write_tensors(root, FUSED, {"num_local_experts": 8}),
}
