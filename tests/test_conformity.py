"""Conformity: no false alarm about models as transformers saves them, in every shape."""

from __future__ import annotations

import json

import pytest
import torch

from mergegraph.trust.verification import verify

TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LAYERS = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3}
TEXT = {**LAYERS, "num_attention_heads": 4, "vocab_size": 96, **TOKENS}
TOWER = {**LAYERS, "num_hidden_layers": 2, "num_attention_heads": 4}
IMAGES = {**TOWER, "image_size": 32, "patch_size": 8}
TWO_SIDES = {
    "d_model": 32,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "vocab_size": 96,
    "decoder_start_token_id": 1,
    **TOKENS,
}
SEEING = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4}
TURNED = {"type": "mrope", "mrope_section": [1, 1, 2]}
BLOCKS = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_global_layers": 1,
    "attention_heads": 4,
    "intermediate_size": 48,
}
MODELS = {
    "LlamaForCausalLM": TEXT,
    "Gemma3ForCausalLM": {**TEXT, "head_dim": 8},
    "MixtralForCausalLM": {**TEXT, "num_local_experts": 4},
    "DeepseekV3ForCausalLM": TEXT,
    "MambaForCausalLM": {"hidden_size": 32, "num_hidden_layers": 3, "vocab_size": 96},
    "RobertaForMaskedLM": TEXT,
    "AlbertForMaskedLM": {**TEXT, "embedding_size": 16},
    "T5ForConditionalGeneration": {
        "d_model": 32, "d_ff": 48, "num_layers": 3, "num_heads": 4, "d_kv": 8, "vocab_size": 96,
    },
    "WhisperForConditionalGeneration": TWO_SIDES,
    "BartForCausalLM": TWO_SIDES,
    "CLIPForImageClassification": {"text_config": TEXT, "vision_config": IMAGES},
    "Qwen2VLForConditionalGeneration": {
        "text_config": {**TEXT, "num_key_value_heads": 2, "rope_scaling": TURNED},
        "vision_config": SEEING,
    },
    "MllamaForConditionalGeneration": {
        "text_config": {**TEXT, "num_hidden_layers": 4, "cross_attention_layers": [1]},
        "vision_config": BLOCKS,
    },
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_as_transformers_saves_it_conforms(name, tmp_path):
    import transformers

    model = getattr(transformers, name)
    model(model.config_class(**MODELS[name])).to(torch.bfloat16).save_pretrained(tmp_path)
    assert verify(tmp_path).differences == ()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "key", "told"),
    [
        ("WhisperForConditionalGeneration", "decoder_layers", "says 9 layers, the tensors have 2"),
        ("LlamaForCausalLM", "num_hidden_layers", "says 9 layers, the tensors have 3"),
        ("LlamaForCausalLM", "vocab_size", "says vocab_size 9, model.embed_tokens.weight has 96"),
    ],
)
def test_a_number_that_is_wrong_is_told(name, key, told, tmp_path):
    import transformers

    model = getattr(transformers, name)
    model(model.config_class(**MODELS[name])).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: 9}))
    assert any(told in each for each in verify(tmp_path).differences)
