"""Adapters folded into models, against PEFT's own merging."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("peft")
pytest.importorskip("transformers")

from families import adapted, bert, expect_same, gpt2, gpt_oss, llama, merged, mixtral

pytestmark = pytest.mark.filterwarnings("ignore")  # of what is meant here

PATTERNS = {
    "rank_pattern": {"q_proj": 2, "layers.1.self_attn.v_proj": 3, "^model.layers.0.mlp.up_proj": 1},
    "alpha_pattern": {"q_proj": 3, r"model.layers.\d.mlp.*": 7},
    "target_modules": "all-linear",
}
VARIANTS = {
    "plain": {},
    "all linear": {"target_modules": "all-linear", "lora_alpha": 3},
    "patterns": PATTERNS,
    "rslora": {"use_rslora": True, **PATTERNS},
    "dora": {"use_dora": True, "target_modules": ["q_proj", "down_proj", "lm_head"]},
    "embeddings": {"target_modules": ["embed_tokens", "v_proj", "lm_head"]},
    "dora of embeddings": {"target_modules": ["embed_tokens"], "use_dora": True},
    "saved": {"modules_to_save": ["lm_head", "embed_tokens", "norm"]},
    "layers": {"target_modules": ["k_proj"], "layers_to_transform": [1]},
    "tokens": {"trainable_token_indices": [3, 60]},
    "tokens by name": {"trainable_token_indices": {"embed_tokens": [3, 60, 1]}},
}


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_llama(settings, tmp_path):
    model = adapted(tmp_path, llama(), **settings)
    expect_same(model, merged(tmp_path))


@pytest.mark.parametrize("is_told", [True, False])
def test_a_tied_head_gets_the_rows_of_trained_tokens(is_told, tmp_path):
    base = llama(tie_word_embeddings=True)
    tokens = {"trainable_token_indices": [3, 60], "ensure_weight_tying": is_told}
    model = adapted(tmp_path, base, **tokens)
    out = merged(tmp_path)
    expect_same(model, out)
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"]


@pytest.mark.parametrize("settings", [
    {"target_modules": ["c_attn"], "fan_in_fan_out": True},
    {"target_modules": ["c_attn", "c_proj", "c_fc"], "use_rslora": True},
    {"target_modules": ["c_attn", "c_proj"], "use_dora": True, "fan_in_fan_out": True},
    {"target_modules": ["c_attn"], "bias": "all"},
    {"target_modules": ["c_attn", "c_fc"], "bias": "lora_only"},
    {"target_modules": ["c_attn"], "lora_bias": True},
])  # fmt: skip
def test_weights_stored_inputs_first(settings, tmp_path):
    model = adapted(tmp_path, gpt2(), **settings)
    expect_same(model, merged(tmp_path))


@pytest.mark.parametrize("settings", [
    {"target_modules": ["query", "value"], "bias": "lora_only"},
    {"target_modules": ["query", "dense"], "lora_bias": True},
    {"target_modules": ["query"], "modules_to_save": ["cls"]},
])  # fmt: skip
def test_bert(settings, tmp_path):
    model = adapted(tmp_path, bert(), **settings)
    expect_same(model, merged(tmp_path))


@pytest.mark.parametrize("settings", [{}, {"intermediate_size": 8}])
@pytest.mark.parametrize("make", [mixtral, gpt_oss])
def test_experts_in_one_tensor(make, settings, tmp_path):
    experts = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    model = adapted(
        tmp_path, make(**settings), target_modules=["q_proj"], target_parameters=experts
    )
    expect_same(model, merged(tmp_path))


@pytest.mark.parametrize("parameter", ["gate_up_proj", "down_proj"])
@pytest.mark.parametrize("make", [mixtral, gpt_oss])
def test_experts_of_equal_sides(make, parameter, tmp_path):
    model = adapted(
        tmp_path, make(), target_modules=[], target_parameters=[f"mlp.experts.{parameter}"]
    )
    expect_same(model, merged(tmp_path))
