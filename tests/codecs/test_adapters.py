"""Adapters on quantised models, as QLoRA trains them."""

import json

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig

import mergegraph

functional = pytest.importorskip("bitsandbytes.functional")

CONFIG = LlamaConfig(
    vocab_size=64,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
)


@pytest.fixture
def plain_and_quantised(tmp_path):
    """A model in NF4, and the plain one of the same numbers."""
    torch.manual_seed(0)
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    model = AutoModelForCausalLM.from_config(CONFIG)
    tensors = {}
    for name, weight in model.state_dict().items():
        if "_proj" not in name:
            tensors[name] = weight
            continue
        codes, state = functional.quantize_4bit(weight.clone(), quant_type="nf4")
        weight.copy_(functional.dequantize_4bit(codes, state))
        beside = {f"{name}.{key}": value for key, value in state.as_dict(packed=True).items()}
        tensors |= {name: codes, **beside}
    model.save_pretrained(plain)
    packed.mkdir()
    save_file(tensors, packed / "model.safetensors")
    config = json.loads((plain / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (packed / "config.json").write_text(json.dumps(config))
    return plain, packed


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_adapter_is_folded_into_what_is_dequantised(plain_and_quantised, tmp_path):
    plain, packed = plain_and_quantised
    model = AutoModelForCausalLM.from_pretrained(plain)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    recipe = tmp_path / "recipe.yaml"
    entry = f"{{model: '{packed}+{tmp_path / 'adapter'}', parameters: {{weight: 1}}}}"
    recipe.write_text(f"merge_method: linear\nmodels: [{entry}]\nout_dtype: float32\n")
    mergegraph.run(recipe, out=tmp_path / "merged")
    found = load_file(tmp_path / "merged" / "model.safetensors")
    wanted = adapted.merge_and_unload().state_dict()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-5, atol=1e-6)
