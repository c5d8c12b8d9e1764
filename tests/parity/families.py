"""Tiny seeded models that recipes of the parity tests merge: equal bytes wherever they are made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from safetensors.numpy import save_file

Shapes = dict[str, tuple[int, ...]]

HIDDEN, INNER, KEYS = 8, 12, 4

# how far each model is from its base: along a direction that all share, and on its own
DISTANCES = {"a": (0.03, 0.01), "b": (0.03, 0.015), "c": (0.05, 0.03), "far": (0.0, 1.0)}


def write_families(root: Path) -> None:
    """Write every model, as `<root>/<family>/<model>`."""
    for family, (shapes, config) in _families().items():
        base = {name: _draw(f"{family} {name}", shape) for name, shape in shapes.items()}
        for model in ("base", *DISTANCES):
            _write(root / family / model, _moved(base, family, model), config)
    shapes, config = _llama(layers=5)
    deep = {name: _draw(f"deep {name}", shape) for name, shape in shapes.items()}
    _write(root / "llama" / "deep", deep, config)
    shapes, config = _llama(layers=3)
    half = {name: _draw(f"llama {name}", shape) for name, shape in shapes.items()}
    _write(root / "llama" / "half", half, config, dtype="float16")


def _families() -> dict[str, tuple[Shapes, dict[str, Any]]]:
    return {
        "llama": _llama(layers=3),
        "tied": _llama(layers=3, tied=True),
        "qwen2": _llama(layers=3, architecture="Qwen2ForCausalLM"),
        "bert": _bert(layers=3),
        "wide": _llama(layers=1, vocabulary=4096),
    }


def _llama(
    *,
    layers: int,
    vocabulary: int = 10,
    tied: bool = False,
    architecture: str = "LlamaForCausalLM",
) -> tuple[Shapes, dict[str, Any]]:
    shapes: Shapes = {"model.embed_tokens.weight": (vocabulary, HIDDEN)}
    for layer in range(layers):
        inner = dict(_llama_layer(has_biases=architecture.startswith("Qwen2")))
        shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in inner.items()}
    shapes["model.norm.weight"] = (HIDDEN,)
    if not tied:
        shapes["lm_head.weight"] = (vocabulary, HIDDEN)
    config = {
        "architectures": [architecture],
        "model_type": architecture.removesuffix("ForCausalLM").lower(),
        "intermediate_size": INNER,
        "num_key_value_heads": 1,
        "tie_word_embeddings": tied,
    }
    return shapes, config | _sizes(layers, vocabulary)


def _llama_layer(*, has_biases: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "input_layernorm.weight", (HIDDEN,)
    for part, rows in (("q", HIDDEN), ("k", KEYS), ("v", KEYS)):
        yield f"self_attn.{part}_proj.weight", (rows, HIDDEN)
        if has_biases:
            yield f"self_attn.{part}_proj.bias", (rows,)
    yield "self_attn.o_proj.weight", (HIDDEN, HIDDEN)
    yield "post_attention_layernorm.weight", (HIDDEN,)
    yield "mlp.gate_proj.weight", (INNER, HIDDEN)
    yield "mlp.up_proj.weight", (INNER, HIDDEN)
    yield "mlp.down_proj.weight", (HIDDEN, INNER)


def _bert(*, layers: int) -> tuple[Shapes, dict[str, Any]]:
    square, norm = (HIDDEN, HIDDEN), (HIDDEN,)
    dense = {
        "attention.self.query": square,
        "attention.self.key": square,
        "attention.self.value": square,
        "attention.output.dense": square,
        "intermediate.dense": (INNER, HIDDEN),
        "output.dense": (HIDDEN, INNER),
    }
    shapes: Shapes = {
        "bert.embeddings.word_embeddings.weight": (10, HIDDEN),
        "bert.embeddings.position_embeddings.weight": (16, HIDDEN),
        "bert.embeddings.token_type_embeddings.weight": (2, HIDDEN),
    }
    norms = ["bert.embeddings.LayerNorm"]
    for layer in range(layers):
        prefix = f"bert.encoder.layer.{layer}"
        for name, shape in dense.items():
            shapes |= {f"{prefix}.{name}.weight": shape, f"{prefix}.{name}.bias": shape[:1]}
        norms += [f"{prefix}.attention.output.LayerNorm", f"{prefix}.output.LayerNorm"]
    for name in norms:
        shapes |= {f"{name}.weight": norm, f"{name}.bias": norm}
    shapes |= {"bert.pooler.dense.weight": square, "bert.pooler.dense.bias": norm}
    shapes["cls.predictions.bias"] = (10,)
    config = {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "intermediate_size": INNER,
        "type_vocab_size": 2,
    }
    return shapes, config | _sizes(layers, 10)


def _sizes(layers: int, vocabulary: int) -> dict[str, Any]:
    return {
        "hidden_size": HIDDEN,
        "num_attention_heads": 2,
        "num_hidden_layers": layers,
        "vocab_size": vocabulary,
        "max_position_embeddings": 16,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def _moved(base: dict[str, Any], family: str, model: str) -> dict[str, Any]:
    together, alone = DISTANCES.get(model, (0.0, 0.0))
    return {
        name: value
        + together * _draw(f"{family} together {name}", value.shape)
        + alone * _draw(f"{family} {model} {name}", value.shape)
        for name, value in base.items()
    }


def _draw(key: str, shape: tuple[int, ...]) -> Any:
    """Normal numbers times 1/8, of a generator that numpy has promised never to change."""
    drawn = np.random.RandomState(crc32(key.encode())).standard_normal(shape)
    return (drawn / 8).astype(np.float32)


def _write(
    folder: Path, tensors: dict[str, Any], config: dict[str, Any], *, dtype: str = "float32"
) -> None:
    folder.mkdir(parents=True)
    stored = {name: value.astype(dtype) for name, value in tensors.items()}
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config | {"dtype": dtype}, indent=2))
