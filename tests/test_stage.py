"""Stages: what is written of tensors that no method made."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import mergegraph

MODULES = """
merge_method: linear
parameters: {weight: 1}
modules: {layers: {models: [{model: ROOT/a}, {model: ROOT/b}]}}
"""
FILLED = """
merge_method: task_arithmetic
base_model: ROOT/a
on_missing: base
parameters: {weight: 1}
models: [{model: ROOT/b}]
"""
THIRD = torch.full((3,), 1 / 3, dtype=torch.bfloat16)


@pytest.fixture
def merged(checkpoint, tmp_path):
    """Run a recipe over two models; `head` and `ids` are only in the first."""
    layer = {"layers.0.w": torch.ones(3, dtype=torch.bfloat16)}
    more = {"head": THIRD, "ids": torch.arange(3)}
    checkpoint("a", {**layer, **more}, config={"dtype": "bfloat16"})
    checkpoint("b", layer)

    def run(text):
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(text.replace("ROOT", str(tmp_path)))
        mergegraph.run(recipe, out=tmp_path / "out")
        return load_file(tmp_path / "out" / "model.safetensors")

    return run


@pytest.mark.parametrize("text", [MODULES, FILLED], ids=["modules", "on_missing"])
@pytest.mark.parametrize("key", ["dtype", "out_dtype"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_copies_are_stored_as_the_recipe_says(merged, tmp_path, text, key, dtype):
    found = merged(f"{key}: {dtype}{text}")
    dtypes = {name: str(each.dtype).removeprefix("torch.") for name, each in found.items()}
    assert dtypes == {"layers.0.w": dtype, "head": dtype, "ids": "int64"}
    assert torch.equal(found["head"], THIRD.to(found["head"].dtype))
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == dtype


def test_copies_are_exact_where_the_recipe_names_no_dtype(merged, tmp_path):
    wide = {"layers.0.w": torch.ones(3), "head": torch.full((3,), 1 / 3, dtype=torch.float64)}
    save_file(wide, tmp_path / "a" / "model.safetensors")
    assert torch.equal(merged(MODULES)["head"], wide["head"])


def test_later_stages_see_copies_rounded(merged, tmp_path):
    wide = {"layers.0.w": torch.ones(3), "head": torch.full((3,), 1 / 3)}
    for name in ("a", "b"):
        save_file(wide, tmp_path / name / "model.safetensors")
    after = "---\nmerge_method: linear\nparameters: {weight: 1}\n"
    after += "models: [{model: first}, {model: first}]\nout_dtype: float32\n"
    found = merged("name: first\nout_dtype: bfloat16" + MODULES + after)
    assert torch.equal(found["head"], THIRD.float())


def test_copies_are_scaled_as_what_is_merged_is(checkpoint, merged, tmp_path):
    name, other = "model.layers.0.up.weight", "model.layers.1.up.weight"
    wide = torch.randn(256, 128, generator=torch.Generator().manual_seed(0)).bfloat16()
    checkpoint("large", {name: wide, other: wide.clone()}, config={"num_hidden_layers": 2})
    text = MODULES.replace("layers:", "model.layers.0:").replace("ROOT/a", "ROOT/large")
    found = merged("out_dtype: float8_e4m3fn" + text.replace("ROOT/b", "ROOT/large"))
    assert {each: str(found[each].dtype) for each in (name, other)} == {
        name: "torch.float8_e4m3fn",
        other: "torch.float8_e4m3fn",
    }
    for suffix in ("", "_scale_inv"):
        one, another = found[name + suffix].float(), found[other + suffix].float()
        assert torch.equal(one, another)
