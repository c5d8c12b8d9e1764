"""Layouts: how architectures of experts name their tensors, and what their configs say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mergegraph.config import Config
from mergegraph.errors import MergeGraphError, nearest

MLP = ("gate_proj", "up_proj", "down_proj")  # of the dense models
RESIDUAL = "down_proj"  # what goes back into the residual stream
_ATTENTION = (
    r"self_attn\.[qkvo]_proj\.weight|input_layernorm\.weight|post_attention_layernorm\.weight"
)
_BIASES = r"|self_attn\.[qkv]_proj\.bias"
_NORMS = r"|self_attn\.[qk]_norm\.weight"
IGNORED = re.compile(r"self_attn\.rotary_emb\.inv_freq")  # made anew by whoever loads it


@dataclass(frozen=True)
class Layout:
    """An architecture of experts, and the dense ones it is made of.

    `expert` names the weights of an expert by those of a dense MLP, within its layer; `kept` is a
    pattern of what else a layer may hold; `silent` is what the config of each dense architecture
    means where it says nothing, and the one of experts would mean something else.
    """

    name: str
    words: tuple[str, ...]
    expert: Mapping[str, str]
    gate: str
    kept: re.Pattern[str]
    silent: Mapping[str, Mapping[str, Any]]
    shared: Mapping[str, str] | None = None
    shared_gate: str = ""


def _experts_of(place: str, words: Mapping[str, str]) -> dict[str, str]:
    return {dense: f"{place}.{word}.weight" for dense, word in words.items()}


_SAME = {word: word for word in MLP}
_LLAMA = {"rope_theta": 10000.0, "rms_norm_eps": 1e-6, "hidden_act": "silu"}
MIXTRAL = Layout(
    name="mixtral",
    words=("mixtral",),
    expert=_experts_of(
        "block_sparse_moe.experts.{n}", {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}
    ),
    gate="block_sparse_moe.gate.weight",
    kept=re.compile(_ATTENTION),
    silent={
        "llama": {**_LLAMA, "max_position_embeddings": 2048, "sliding_window": None},
        "mistral": {**_LLAMA, "num_key_value_heads": 8, "sliding_window": 4096},
    },
)
QWEN3_MOE = Layout(
    name="qwen3_moe",
    words=("qwen3", "qwen3_moe", "qwen3 moe"),
    expert=_experts_of("mlp.experts.{n}", _SAME),
    gate="mlp.gate.weight",
    kept=re.compile(_ATTENTION + _NORMS),
    silent={"qwen3": {**_LLAMA, "num_key_value_heads": 32, "head_dim": 128}},
)
QWEN2_MOE = Layout(
    name="qwen2_moe",
    words=("qwen", "qwen2", "qwen2_moe", "qwen moe"),
    expert=_experts_of("mlp.experts.{n}", _SAME),
    gate="mlp.gate.weight",
    kept=re.compile(_ATTENTION + _BIASES),
    silent={"qwen2": {**_LLAMA, "num_key_value_heads": 32}},
    shared=_experts_of("mlp.shared_expert", _SAME),
    shared_gate="mlp.shared_expert_gate.weight",
)
LAYOUTS = (MIXTRAL, QWEN3_MOE, QWEN2_MOE)
_ARCHITECTURES = {
    "mixtral": "MixtralForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "qwen2_moe": "Qwen2MoeForCausalLM",
}
_DEEPSEEK = "deepseek"


def layout_for(config: Config, *, wanted: str | None, shared: int) -> Layout:
    """The layout that experts of a dense architecture are put in; raises MergeGraphError."""
    dense = str(config.get("model_type"))
    able = [each for each in LAYOUTS if dense in each.silent]
    if wanted is not None:
        chosen = _named(wanted)
        if chosen not in able:
            made = ", ".join(chosen.silent)
            raise MergeGraphError(f"architecture {wanted}: made of {made}, the base is {dense}")
        able = [chosen]
    if not able:
        known = ", ".join(name for each in LAYOUTS for name in each.silent)
        raise MergeGraphError(f"experts are made of {known}, the base's model_type is {dense}")
    layout = able[0]
    if layout.shared is None and shared:
        fact = f"{layout.name} has no shared experts, {shared} are given"
        raise MergeGraphError(f"{fact}; leave them out, or take models of qwen2")
    if layout.shared is not None and shared != 1:
        raise MergeGraphError(f"{layout.name} has exactly one shared expert, {shared} are given")
    return layout


def config_of(
    layout: Layout, config: Config, *, experts: int, per_token: int, width: int, heads: int
) -> dict[str, Any]:
    """The config of a mixture: the base's, with what it means by silence said, and the experts."""
    silent = layout.silent[str(config["model_type"])]
    rope = {"rope_theta"} if "rope_parameters" in config else set()
    found = {
        "num_key_value_heads": heads,
        "tie_word_embeddings": False,
        **{key: value for key, value in silent.items() if key not in rope},
        **config,
        "architectures": [_ARCHITECTURES[layout.name]],
        "model_type": layout.name,
        "num_experts_per_tok": per_token,
        "output_router_logits": False,
    }
    found.pop("auto_map", None)
    if layout is MIXTRAL:
        return {**found, "num_local_experts": experts}
    found |= {
        "num_experts": experts,
        "moe_intermediate_size": width,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
    }
    return found if layout.shared is None else {**found, "shared_expert_intermediate_size": width}


def _named(wanted: str) -> Layout:
    word = wanted.lower()
    if word.startswith(_DEEPSEEK):
        fact = "its attention is not that of any dense model here, and the first DeepSeek-MoE"
        raise MergeGraphError(
            f"architecture {wanted}: {fact} needs code from the Hub to be loaded; use mixtral"
        )
    found = next((each for each in LAYOUTS if word in each.words), None)
    if found is None:
        known = [each.words[0] for each in LAYOUTS]
        raise MergeGraphError(f"architecture {wanted}: not known{nearest(word, known)}")
    return found
