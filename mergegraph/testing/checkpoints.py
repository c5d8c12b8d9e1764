"""Tiny checkpoints in the shape of Llama, made in no time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

_SPREAD = 0.02  # the standard deviation Llama starts from
_TUNING = 0.1  # how far a fine-tune goes, as a share of that
_WORDS = ("<unk>", "<s>", "</s>")


def tiny_checkpoint(
    path: Path,
    *,
    seed: int = 0,
    layers: int = 2,
    vocabulary: int = 64,
    hidden: int = 16,
    dtype: str = "bfloat16",
    is_tied: bool = False,
) -> Path:
    """Write a Llama-shaped model of random weights, with its config and side files; gives `path`.

    Equal arguments give equal bytes.
    """
    shapes = _shapes(layers, vocabulary, hidden, is_tied)
    _write(path, _random(shapes, seed), _config(layers, vocabulary, hidden, dtype, is_tied))
    return path


def tiny_family(path: Path, count: int = 2, **shape: Any) -> tuple[Path, ...]:
    """Write a base and `count` fine-tunes of it, below `path`; gives their paths, the base first.

    `shape` is handed on to `tiny_checkpoint`.
    """
    base = tiny_checkpoint(path / "base", **shape)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    sizes = (config["num_hidden_layers"], config["vocab_size"], config["hidden_size"])
    shapes = _shapes(*sizes, config["tie_word_embeddings"])
    seed = shape.get("seed", 0)
    start = _random(shapes, seed)
    family = [base]
    for number in range(1, count + 1):
        change = _random(shapes, seed + 1000 * number)
        tuned = {name: start[name] + _TUNING * (change[name] - _center(name)) for name in start}
        family.append(path / f"tuned-{number}")
        _write(family[-1], tuned, config)
    return tuple(family)


def _shapes(layers: int, vocabulary: int, hidden: int, is_tied: bool) -> dict[str, tuple[int, ...]]:  # noqa: FBT001
    square, wide = (hidden, hidden), (2 * hidden, hidden)
    layer = {
        "input_layernorm": (hidden,),
        **{f"self_attn.{each}_proj": square for each in "qkvo"},
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": wide,
        "mlp.up_proj": wide,
        "mlp.down_proj": (hidden, 2 * hidden),
    }
    return {
        "model.embed_tokens.weight": (vocabulary, hidden),
        **{f"model.layers.{i}.{n}.weight": s for i in range(layers) for n, s in layer.items()},
        "model.norm.weight": (hidden,),
        **({} if is_tied else {"lm_head.weight": (vocabulary, hidden)}),
    }


def _random(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Any]:
    """Weights around their centers, always the same for a seed."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: _center(name) + _SPREAD * torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }


def _center(name: str) -> float:
    return 1.0 if "norm" in name else 0.0


def _config(
    layers: int,
    vocabulary: int,
    hidden: int,
    dtype: str,
    is_tied: bool,  # noqa: FBT001
) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "tie_word_embeddings": is_tied,
        "torch_dtype": dtype,
    }


def _write(path: Path, weights: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    dtype = getattr(torch, config["torch_dtype"])
    stored = {name: tensor.to(dtype) for name, tensor in weights.items()}
    save_file(stored, path / "model.safetensors", metadata={"format": "pt"})
    words = [*_WORDS, *(f"w{i}" for i in range(config["vocab_size"] - len(_WORDS)))]
    vocabulary = {word: i for i, word in enumerate(words)}
    files = {
        "config.json": config,
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2},
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
        "tokenizer.json": {
            "version": "1.0",
            "added_tokens": [],
            "pre_tokenizer": {"type": "Whitespace"},
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": _WORDS[0]},
        },
    }
    for name, content in files.items():
        (path / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
