"""Worlds: models of every kind that is read, on disk, and the names that recipes have for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.family import make_family
from benchmarks.shapes import Architecture
from reliability.families import MODELS, Family, write_family, write_model

ROOT = "{root}"  # in recipes: the folder of the models
_MODELS = tuple(f"{ROOT}/{name}" for name in MODELS[1:])
_DENSE = Architecture(2, 16, 24, 23, 4, 2)
DEMO = ("base", "north", "east", "south")


@dataclass(frozen=True)
class World:
    """A base and models by what recipes call them, the keys recipes need, and how it is written."""

    name: str
    base: str
    models: tuple[str, ...]
    write: Callable[[Path, int], None] = field(compare=False, repr=False)
    keys: Mapping[str, Any] = field(default_factory=dict)
    layers: int = 0
    family: Family | None = None


def synthetic(family: Family) -> World:
    """The models of a family."""
    return World(
        name="synthetic",
        base=f"{ROOT}/base",
        models=_MODELS,
        write=lambda folder, files: write_family(family, folder, files=files),
        layers=3,
        family=family,
    )


def demo() -> World:
    """The trained family."""
    base, *models = (f"demo:{name}" for name in DEMO)
    return World("demo", base, tuple(models), lambda *_: None, layers=4)


def adapted(family: Family) -> World:
    """Adapters of one base, folded into it."""
    return World(
        name="adapted",
        base=f"{ROOT}/base",
        models=tuple(f"{ROOT}/base+{ROOT}/adapter-{name}" for name in MODELS[1:]),
        write=lambda folder, files: _write_adapters(family, folder, files),
        family=family,
    )


def adapters(family: Family) -> World:
    """Adapters merged with adapters."""
    models = tuple(f"{ROOT}/adapter-{name}" for name in MODELS[1:])
    return World(
        name="adapters",
        base="",
        models=models,
        write=lambda folder, files: _write_adapters(family, folder, files),
        family=family,
    )


def quantised(family: Family) -> World:
    """A base in full, and models in FP8 with scales."""
    return World(
        name="quantised",
        base=f"{ROOT}/base",
        models=_MODELS,
        write=lambda folder, files: _write_quantised(family, folder, files),
        keys={"dtype": "float32"},
        family=family,
    )


def tokens(family: Family) -> World:
    """Models whose vocabularies differ, merged over the union of them."""
    return World(
        name="tokens",
        base=f"{ROOT}/base",
        models=_MODELS,
        write=lambda folder, files: _write_tokens(family, folder, files),
        keys={"tokenizer": {"source": "union"}},
        family=family,
    )


def dense(seed: int) -> World:
    """Models that experts can be made of."""
    return World(
        name="dense",
        base=f"{ROOT}/base",
        models=_MODELS,
        write=lambda folder, _files: make_family(folder, _DENSE, seed=seed),
    )


def _write_adapters(family: Family, folder: Path, files: int) -> None:
    import torch

    write_model(folder / "base", family.tensors(0), family.config(), files=files)
    shapes = family.shapes()
    for number, name in enumerate(MODELS[1:], 1):
        drawn = torch.Generator().manual_seed(family.seed + number)
        rank = number + 1
        tensors = {}
        for module in [each for each in shapes if ".q_proj." in each or ".up_proj." in each]:
            rows, columns = shapes[module]
            stem = f"base_model.model.{module.removesuffix('.weight')}"
            tensors[f"{stem}.lora_A.weight"] = torch.randn(rank, columns, generator=drawn)
            tensors[f"{stem}.lora_B.weight"] = torch.randn(rows, rank, generator=drawn)
        config = {
            "peft_type": "LORA",
            "r": rank,
            "lora_alpha": 4,
            "target_modules": ["q_proj", "up_proj"],
            "base_model_name_or_path": "base",
        }
        _write_adapter(folder / f"adapter-{name}", tensors, config)


def _write_adapter(folder: Path, tensors: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(dict(config)))


def _write_quantised(family: Family, folder: Path, files: int) -> None:
    import torch

    write_model(folder / "base", family.tensors(0), family.config(), files=files)
    scheme = {"quantization_config": {"quant_method": "compressed-tensors"}}
    for number, name in enumerate(MODELS[1:], 1):
        tensors = {}
        for each, tensor in family.tensors(number).items():
            tensors[each] = tensor
            if each.endswith("proj.weight"):
                scale = tensor.float().abs().amax(1, keepdim=True) / 448 + 1e-6
                tensors[each] = (tensor.float() / scale).to(torch.float8_e4m3fn)
                tensors[f"{each}_scale"] = scale
        write_model(folder / name, tensors, {**family.config(), **scheme}, files=files)


def _write_tokens(family: Family, folder: Path, files: int) -> None:
    for number, name in enumerate(MODELS):
        words = ["<unk>", *(f"w{i}" for i in range(number, number + 20 - number))]
        tensors = family.tensors(number)
        for each in ("model.embed_tokens.weight", "lm_head.weight"):
            if each in tensors:
                tensors[each] = tensors[each][: len(words)].clone()
        config = {**family.config(), "vocab_size": len(words)}
        write_model(folder / name, tensors, config, files=files)
        vocabulary = {
            "version": "1.0",
            "added_tokens": [],
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "model": {
                "type": "WordLevel",
                "vocab": {word: i for i, word in enumerate(words)},
                "unk_token": "<unk>",
            },
        }
        (folder / name / "tokenizer.json").write_text(json.dumps(vocabulary))
