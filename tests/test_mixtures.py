"""Merging mixtures of experts as transformers saves them: loaded again, they generate."""

from __future__ import annotations

import pytest
import torch
import yaml

from mergegraph import pipeline

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 40,
    "num_local_experts": 4,
}
CONFIGS = {
    "Mixtral": {},
    "Qwen3Moe": {"num_experts": 4, "moe_intermediate_size": 24, "num_experts_per_tok": 2},
    "GptOss": {"head_dim": 8},
    "GraniteMoe": {},
    "Llama4Text": {"head_dim": 8, "intermediate_size_mlp": 24},
}
METHODS = {
    "linear": {"weight": 1.0},
    "slerp": {"t": 0.4},
    "ties": {"density": 0.4, "weight": 1.0},
}
TOKENS = torch.tensor([[3, 1, 4, 1, 5]])


@pytest.fixture
def family(tmp_path):
    """Write a base and two models of an architecture; gives the last one's config."""

    def write(name):
        config = getattr(transformers, f"{name}Config")(**{**SIZES, **CONFIGS[name]})
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config).float()
        start = {each: tensor.clone() for each, tensor in model.state_dict().items()}
        for folder in ("base", "x", "y"):
            model.load_state_dict(start)
            if folder != "base":
                with torch.no_grad():
                    for weight in model.parameters():
                        weight.add_(0.05 * torch.randn_like(weight))
            model.save_pretrained(tmp_path / folder)

    return write


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CONFIGS)
def test_merged_experts_load_and_generate(name, method, family, tmp_path):
    family(name)
    found = {
        "merge_method": method,
        "models": [{"model": str(tmp_path / each)} for each in "xy"],
        "parameters": METHODS[method],
        "dtype": "float32",
    }
    if method == "ties":
        found["base_model"] = str(tmp_path / "base")
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(found))
    pipeline.run(tmp_path / "r.yaml", out=tmp_path / "out")
    model, lost = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", output_loading_info=True, dtype=torch.float32
    )
    assert not any(lost.values())
    assert model.generate(TOKENS, max_new_tokens=3, do_sample=False).shape == (1, 8)
    if method == "linear":
        halves = [
            transformers.AutoModelForCausalLM.from_pretrained(tmp_path / each).state_dict()
            for each in "xy"
        ]
        merged = model.state_dict()
        for each, tensor in merged.items():
            torch.testing.assert_close(tensor, (halves[0][each] + halves[1][each]) / 2)
