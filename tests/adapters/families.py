"""Tiny models of transformers with adapters of PEFT, saved beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

import mergegraph

TINY = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def llama(**settings: Any) -> Any:
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**TINY, **settings))


def gpt2(**settings: Any) -> Any:
    torch.manual_seed(0)
    small = {"n_embd": 16, "n_layer": 2, "n_head": 2, "bos_token_id": 1, "eos_token_id": 2}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=64, **small, **settings))


def bert() -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        **{k: v for k, v in TINY.items() if k != "num_key_value_heads"}
    )
    return transformers.BertForMaskedLM(config)


def mixtral(**settings: Any) -> Any:
    torch.manual_seed(0)
    config = {**TINY, "num_local_experts": 4, **settings}
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(**config))


def gpt_oss(**settings: Any) -> Any:
    torch.manual_seed(0)
    config = {**TINY, "head_dim": 8, "num_local_experts": 4, **settings}
    return transformers.GptOssForCausalLM(transformers.GptOssConfig(**config))


def randomised(module: Any, seed: int) -> None:
    """Give everything that was trained, factors that start as zeros too, entries of its own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def adapted(folder: Path, model: Any, name: str = "adapter", seed: int = 0, **settings: Any) -> Any:
    """Save a model as `base` and an adapter of it; gives PEFT's model with that adapter."""
    if not (folder / "base").exists():
        model.save_pretrained(folder / "base")
    model.name_or_path = str(folder / "base")
    made = peft.get_peft_model(model, peft.LoraConfig(**{"r": 4, **settings}))
    randomised(made, seed)
    made.save_pretrained(folder / name)
    return made


def merged(folder: Path, recipe: dict[str, Any] | None = None) -> Path:
    """The result of a recipe, by default of the model with its adapter as it is."""
    reference = f"{folder / 'base'}+{folder / 'adapter'}"
    default = {"merge_method": "passthrough", "models": [{"model": reference}]}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe or default))
    mergegraph.run(path, out=folder / "out")
    return folder / "out"


def expect_same(model: Any, out: Path) -> None:
    """The result loads without a missing tensor, and says what the merged model says."""
    merged = model.merge_and_unload().eval()
    loaded, told = type(merged).from_pretrained(out, output_loading_info=True)
    assert not any(told.values()), told
    ids = torch.arange(2, 60)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            loaded.eval()(ids).logits, merged(ids).logits, rtol=1e-5, atol=1e-5
        )
    wanted = merged.state_dict()
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-5, atol=1e-6, msg=name)
