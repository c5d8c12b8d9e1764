"""gpt-oss as it is on the Hub, against transformers from file to file."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GptOssConfig, Mxfp4Config

import mergegraph

SIZES = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_local_experts": 3,
    "num_experts_per_tok": 2,
}


@pytest.fixture
def gpt_oss(tmp_path):
    """A tiny model whose experts are stored in MXFP4."""
    torch.manual_seed(0)
    path = tmp_path / "gpt-oss"
    AutoModelForCausalLM.from_config(GptOssConfig(**SIZES)).to(torch.bfloat16).save_pretrained(path)
    tensors = load_file(path / "model.safetensors")
    for name in [name for name in tensors if name.endswith("_proj") and ".experts." in name]:
        experts, inputs, outputs = tensors.pop(name).shape
        shape = (experts, outputs, inputs // 32)
        tensors[f"{name}_blocks"] = torch.randint(0, 256, (*shape, 16), dtype=torch.uint8)
        tensors[f"{name}_scales"] = torch.randint(118, 123, shape, dtype=torch.uint8)
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": []}
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_it_is_read_as_transformers_reads_it(gpt_oss, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    entry = f"{{model: '{gpt_oss}', parameters: {{weight: 1}}}}"
    recipe.write_text(f"merge_method: linear\nmodels: [{entry}]\n")
    mergegraph.run(recipe, out=tmp_path / "merged")
    merged, told = AutoModelForCausalLM.from_pretrained(
        tmp_path / "merged", output_loading_info=True
    )
    assert not any(told.values())
    wanted = AutoModelForCausalLM.from_pretrained(
        gpt_oss, quantization_config=Mxfp4Config(dequantize=True), dtype=torch.bfloat16
    ).state_dict()
    found = merged.state_dict()
    assert found.keys() == wanted.keys()
    assert [name for name in found if not found[name].equal(wanted[name])] == []
