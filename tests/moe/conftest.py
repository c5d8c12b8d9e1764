"""Tiny dense models with tokenizers, and recipes that put them together."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 50,
}
KINDS = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}


@pytest.fixture
def dense(tmp_path):
    """Write dense models: `dense("llama", "a", "b")`; gives the modules by name."""
    transformers = pytest.importorskip("transformers")

    def write(kind, *names, **changes):
        made = {}
        config = getattr(transformers, f"{KINDS[kind]}Config")(**{**SIZES, **changes})
        for number, name in enumerate(("base", *names)):
            torch.manual_seed(number)
            model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
            model.save_pretrained(tmp_path / name)
            _write_tokenizer(tmp_path / name)
            made[name] = model
        return made

    return write


def _write_tokenizer(folder):
    words = {f"w{i}": i for i in range(50)}
    found = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "w0"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(found))


@pytest.fixture
def recipe(tmp_path):
    """Write a recipe of experts by their names: `recipe(a={...}, gate_mode="random")`."""

    def write(experts, **keys):
        found = {"base_model": str(tmp_path / "base"), "experts": _entries(tmp_path, experts)}
        if "shared" in keys:
            found["shared_experts"] = _entries(tmp_path, keys.pop("shared"))
        path = tmp_path / "r.yaml"
        path.write_text(yaml.safe_dump({**found, "dtype": "float32", **keys}, sort_keys=False))
        return path

    return write


def _entries(folder, experts):
    return [{"source_model": str(folder / name), **keys} for name, keys in experts]
