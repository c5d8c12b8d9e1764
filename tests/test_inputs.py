"""What becomes of tensors that some models lack."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

import mergegraph
from mergegraph import MergeGraphError

CONFIG = {"num_hidden_layers": 1}


@pytest.fixture
def merged(checkpoint, tmp_path):
    """Merge models as `models` or as `slices`; `bare` lacks what `base` and `full` have."""
    weight = {"layers.0.w": torch.ones(3)}
    checkpoint("base", {**weight, "layers.0.extra": torch.full((3,), 1.0)}, config=CONFIG)
    checkpoint("full", {**weight, "layers.0.extra": torch.full((3,), 2.0)}, config=CONFIG)
    checkpoint("bare", weight, config=CONFIG)

    def run(names, base="base", *, key="models", policy="base", method="linear"):
        part = ", layer_range: [0, 1]" if key == "slices" else ""
        listed = ", ".join(f"{{model: {tmp_path}/{name}{part}}}" for name in names)
        listed = f"[{{sources: [{listed}]}}]" if key == "slices" else f"[{listed}]"
        text = f"merge_method: {method}\n{key}: {listed}\nparameters: {{weight: 1}}\n"
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(f"{text}base_model: {tmp_path}/{base}\non_missing: {policy}\n")
        mergegraph.run(recipe, out=tmp_path / "out")
        return load_file(tmp_path / "out" / "model.safetensors")

    return run


@pytest.mark.parametrize("method", ["linear", "task_arithmetic"])
@pytest.mark.parametrize("key", ["models", "slices"])
@pytest.mark.parametrize("names", [("full", "bare"), ("full", "bare", "base")])
def test_what_models_lack_may_be_the_bases(merged, names, key, method):
    """Also where the method knows of no base, and where the base is no model of the merge."""
    found = merged(names, key=key, method=method)
    assert found["layers.0.extra"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("policy", ["base", "error"])
@pytest.mark.parametrize("method", ["linear", "task_arithmetic"])
def test_a_base_that_lacks_a_tensor_is_no_remedy(merged, policy, method):
    told = (
        r"extra: not in .*bare, but in .*full; the base has none: set on_missing to skip or drop$"
    )
    with pytest.raises(MergeGraphError, match=told):
        merged(("full", "base"), base="bare", policy=policy, method=method)
