"""The forward pass of a Llama, from a configuration and named weights to logits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mergegraph.errors import MergeGraphError

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Config:
    """The sizes that the forward pass needs, named as in `config.json`."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6


def read_config(path: Path) -> Config:
    """Read a `config.json`; raises MergeGraphError if it does not describe a Llama."""
    try:
        return config_in(json.loads(path.read_text("utf-8")), str(path))
    except OSError as error:
        raise MergeGraphError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise MergeGraphError(f"{path}: does not describe a Llama ({error})") from error


def config_in(told: Mapping[str, Any], place: str) -> Config:
    """What the content of a `config.json` says; `place` is what messages call it."""
    try:
        if told["model_type"] != "llama":
            raise MergeGraphError(f"{place}: model_type is {told['model_type']!r}, not 'llama'")
        found = {**told, **(told.get("rope_parameters") or {})}
    except (TypeError, KeyError) as error:
        raise MergeGraphError(f"{place}: does not describe a Llama ({error})") from error
    known = {each.name: each.default for each in fields(Config)}
    if lacking := [name for name, usual in known.items() if usual is MISSING and name not in found]:
        raise MergeGraphError(f"{place}: does not describe a Llama: it has no {lacking[0]}")
    return Config(**{name: found[name] for name in known if name in found})


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight."""
    hidden, inner = config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    layer: dict[str, tuple[int, ...]] = {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    return {
        "model.embed_tokens.weight": (config.vocab_size, hidden),
        **{
            f"model.layers.{index}.{name}.weight": shape
            for index in range(config.num_hidden_layers)
            for name, shape in layer.items()
        },
        "model.norm.weight": (hidden,),
        "lm_head.weight": (config.vocab_size, hidden),
    }


def logits(weights: Weights, config: Config, tokens: Tensor) -> Tensor:
    """Score every next token after each token of a batch of rows, in float32."""
    rotation = _rotation(config, tokens.shape[1])
    stream = F.embedding(tokens, weights["model.embed_tokens.weight"].float())
    for index in range(config.num_hidden_layers):
        layer = _Layer(weights, config, f"model.layers.{index}.")
        stream = stream + layer.attend(layer.norm("input_layernorm", stream), rotation)
        stream = stream + layer.think(layer.norm("post_attention_layernorm", stream))
    top = _Layer(weights, config, "")
    return top.linear("lm_head", top.norm("model.norm", stream))


@dataclass(frozen=True)
class _Layer:
    """The weights whose names begin alike."""

    weights: Weights
    config: Config
    prefix: str

    def weight(self, name: str) -> Tensor:
        return self.weights[f"{self.prefix}{name}.weight"].float()

    def linear(self, name: str, stream: Tensor) -> Tensor:
        return F.linear(stream, self.weight(name))

    def norm(self, name: str, stream: Tensor) -> Tensor:
        scale = torch.rsqrt(stream.square().mean(-1, keepdim=True) + self.config.rms_norm_eps)
        return stream * scale * self.weight(name)

    def attend(self, stream: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        group = self.config.num_attention_heads // self.config.num_key_value_heads
        queries = _rotated(self.heads("self_attn.q_proj", stream), rotation)
        keys = _rotated(self.heads("self_attn.k_proj", stream), rotation)
        mixed = F.scaled_dot_product_attention(
            queries,
            keys.repeat_interleave(group, 1),
            self.heads("self_attn.v_proj", stream).repeat_interleave(group, 1),
            is_causal=True,
        )
        return self.linear("self_attn.o_proj", mixed.transpose(1, 2).flatten(2))

    def heads(self, name: str, stream: Tensor) -> Tensor:
        batch, length, _ = stream.shape
        heads = self.linear(name, stream).view(batch, length, -1, self.config.head_dim)
        return heads.transpose(1, 2)

    def think(self, stream: Tensor) -> Tensor:
        gate = F.silu(self.linear("mlp.gate_proj", stream))
        return self.linear("mlp.down_proj", gate * self.linear("mlp.up_proj", stream))


def _rotation(config: Config, length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle by which each place turns each pair of a head's entries."""
    steps = torch.arange(0, config.head_dim, 2).float() / config.head_dim
    angles = torch.outer(torch.arange(length).float(), 1.0 / config.rope_theta**steps)
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def _rotated(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cosine, sine = rotation
    first, second = heads.chunk(2, -1)
    return heads * cosine + torch.cat([-second, first], -1) * sine
