"""Families of tiny models with tensors of odd shapes, written in one file or in many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAYERS = 3
ROWS, WIDTH = 23, 16
MODELS = ("base", "a", "b", "c")
EXPERTS = "model.layers.{}.mlp.experts.down_proj"


@dataclass(frozen=True)
class Family:
    """A base and models of equal shapes: what they are made of, and nothing of where they are."""

    odd: tuple[tuple[int, ...], ...] = ()
    dtypes: tuple[str, ...] = ("bfloat16",) * len(MODELS)
    seed: int = 0
    is_coarse: bool = False
    has_experts: bool = False
    is_tied: bool = False
    agrees: bool = True  # on the tensor of whole numbers

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor but that of whole numbers."""
        found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (ROWS, WIDTH)}
        for i in range(LAYERS):
            place = f"model.layers.{i}"
            found[f"{place}.self_attn.q_proj.weight"] = (WIDTH, WIDTH)
            found[f"{place}.mlp.up_proj.weight"] = (31, WIDTH)
            found[f"{place}.input_layernorm.weight"] = (WIDTH,)
            if self.has_experts:
                found[EXPERTS.format(i)] = (4, 9, WIDTH)
        found["model.norm.weight"] = (WIDTH,)
        if not self.is_tied:
            found["lm_head.weight"] = (ROWS, WIDTH)
        return found | {f"odd.{i}.weight": shape for i, shape in enumerate(self.odd)}

    def config(self) -> dict[str, Any]:
        """What config.json says."""
        experts = {"num_local_experts": 4} if self.has_experts else {}
        return {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "num_hidden_layers": LAYERS,
            "hidden_size": WIDTH,
            "vocab_size": ROWS,
            "tie_word_embeddings": self.is_tied,
            **experts,
        }

    def tensors(self, number: int) -> dict[str, Any]:
        """The tensors of a model: the first is the base, others are changes of it."""
        import torch

        base = torch.Generator().manual_seed(self.seed)
        own = torch.Generator().manual_seed(self.seed + 1000 * number)
        dtype = getattr(torch, self.dtypes[number])
        found = {}
        for name, shape in self.shapes().items():
            values = torch.randn(shape, generator=base)
            if number:
                change = torch.randn(shape, generator=own)
                values = values + (change.round() if self.is_coarse else 0.1 * change)
            found[name] = (values.round() if self.is_coarse else values).to(dtype)
        found["position_ids"] = torch.arange(7) + (0 if self.agrees else number)
        return found


def write_family(family: Family, folder: Path, *, files: int = 1) -> None:
    """Write all models of a family, each in so many files."""
    for number, name in enumerate(MODELS):
        write_model(folder / name, family.tensors(number), family.config(), files=files)


def write_model(
    folder: Path, tensors: Mapping[str, Any], config: Mapping[str, Any], *, files: int = 1
) -> None:
    """Write a model; in more than one file, neighbours are apart and the index is upside down."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config)))
    if files == 1:
        save_file(dict(tensors), folder / "model.safetensors")
        return
    names = [f"model-{i + 1:05d}-of-{files:05d}.safetensors" for i in range(files)]
    place = {name: names[i % files] for i, name in enumerate(tensors)}
    for file in names:
        held = {name: tensors[name] for name in reversed(place) if place[name] == file}
        save_file(held, folder / file)
    index = {"metadata": {}, "weight_map": dict(reversed(place.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
