"""Recipes of every kind found beside models on the Hub, with tiny models for theirs."""

from __future__ import annotations

import pytest
import torch
import yaml

import mergegraph

EXAMPLES = {
    "linear": """
models:
  - model: {one}
    parameters:
      weight: 1.0
  - model: {other}
    parameters:
      weight: 0.3
merge_method: linear
dtype: float16
""",
    "slerp by filters and gradients": """
slices:
  - sources:
      - model: {one}
        layer_range: [0, 4]
      - model: {other}
        layer_range: [0, 4]
merge_method: slerp
base_model: {one}
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5 # fallback for rest of tensors
dtype: bfloat16
""",
    "ties by gradients": """
models:
  - model: {one}
    parameters:
      density: [1, 0.7, 0.1] # density gradient
      weight: 1.0
  - model: {other}
    parameters:
      density: 0.5
      weight: [0, 0.3, 0.7, 1] # weight gradient
  - model: {third}
    parameters:
      density: 0.33
      weight:
        - filter: mlp
          value: 0.5
        - value: 0
merge_method: ties
base_model: {base}
parameters:
  normalize: true
  int8_mask: true
dtype: float16
""",
    "passthrough": """
slices:
  - sources:
    - model: {one}
      layer_range: [0, 3]
  - sources:
    - model: {other}
      layer_range: [1, 4]
merge_method: passthrough
dtype: float16
""",
    "passthrough, softened": """
slices:
- sources:
  - layer_range: [0, 2]
    model: {one}
- sources:
  - layer_range: [1, 4]
    model: {one}
    parameters:
      scale:
      - filter: o_proj
        value: 0.0
      - filter: down_proj
        value: 0.0
      - value: 1.0
merge_method: passthrough
dtype: bfloat16
""",
    "a stack of merges": """
merge_method: linear
slices:
  - sources:
      - model: {one}
        layer_range: [0, 1]
      - model: {other}
        layer_range: [0, 1]
        parameters:
          weight: 0
  - sources:
      - model: {one}
        layer_range: [1, 3]
  - sources:
      - model: {other}
        layer_range: [1, 3]
  - sources:
      - model: {one}
        layer_range: [3, 4]
      - model: {other}
        layer_range: [3, 4]
        parameters:
          weight: 0
parameters:
  weight: 1.0
dtype: float16
""",
    "dare ties": """
models:
  - model: {base}
    # No parameters necessary for base model
  - model: {one}
    parameters:
      density: 0.53
      weight: 0.4
  - model: {other}
    parameters:
      density: 0.53
      weight: 0.3
merge_method: dare_ties
base_model: {base}
parameters:
  int8_mask: true
dtype: bfloat16
""",
    "stages": """
name: gradient-slerp
merge_method: slerp
base_model: {one}
models:
  - model: {one}
  - model: {other}
parameters:
  t: [0, 0.5, 1]
dtype: float16
---
name: first-and-third
merge_method: task_arithmetic
base_model: {base}
models:
  - model: {one}
    parameters: {{weight: 0.5}}
  - model: {third}
    parameters: {{weight: 0.5}}
dtype: float16
---
merge_method: slerp
base_model: gradient-slerp
models:
  - model: gradient-slerp
  - model: first-and-third
parameters:
  t: 0.4
dtype: float16
""",
    "a base for a slice": """
slices:
  - sources:
      - {{model: {one}, layer_range: [0, 2]}}
      - {{model: {other}, layer_range: [0, 2]}}
    base_model: {other}
    parameters: {{t: 0.2}}
  - sources:
      - {{model: {one}, layer_range: [2, 4]}}
      - {{model: {other}, layer_range: [2, 4]}}
merge_method: slerp
base_model: {one}
parameters: {{t: 0.6}}
dtype: bfloat16
""",
}
WITH_BASE = """
merge_method: {method}
base_model: {{base}}
models:
  - model: {{one}}
    parameters: {{{{weight: 0.5}}}}
  - model: {{other}}
    parameters: {{{{weight: 0.5}}}}
parameters: {parameters}
dtype: bfloat16
"""
METHODS = {
    "task_arithmetic": "{{}}",
    "dare_linear": "{{density: 0.6}}",
    "breadcrumbs": "{{density: 0.9, gamma: 0.01}}",
    "breadcrumbs_ties": "{{density: 0.9, gamma: 0.01}}",
    "della": "{{density: 0.7, epsilon: 0.1, lambda: 1.1}}",
    "della_linear": "{{density: 0.7, epsilon: 0.1}}",
    "ties": "{{density: 0.5, normalize: true}}",
}
PAIRS = {
    "model_stock": ("one, other, third", "base", "{{}}"),
    "sce": ("one, other, third", "base", "{{select_topk: 0.5}}"),
    "nearswap": ("one", "base", "{{t: 0.01}}"),
    "arcee_fusion": ("one", "base", "{{}}"),
    "karcher": ("one, other", "", "{{max_iter: 10}}"),
    "multislerp": ("one, other", "base", "{{weight: 1}}"),
    "nuslerp": ("one, other", "base", "{{weight: 1}}"),
}


def listed(method):
    """A recipe for a method that needs no parameters of each model."""
    names, base, parameters = PAIRS[method]
    models = "".join(f"  - model: {{{name}}}\n" for name in names.split(", "))
    named = f"base_model: {{{base}}}\n" if base else ""
    return f"merge_method: {method}\n{named}models:\n{models}parameters: {parameters}\n"


RECIPES = {
    **EXAMPLES,
    **{name: WITH_BASE.format(method=name, parameters=p) for name, p in METHODS.items()},
    **{name: listed(name) for name in PAIRS},
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_a_recipe_as_found_runs_unchanged_and_the_result_writes(
    name, kind, family, loaded, tmp_path
):
    base, one, other = (each.path for each in family(kind))
    text = RECIPES[name].format(base=base, one=one, other=other, third=base)
    assert all(yaml.safe_load_all(text))
    (tmp_path / "recipe.yaml").write_text(text)
    out = tmp_path / "out"
    mergegraph.run(tmp_path / "recipe.yaml", out=out, threads=1, memory="64MiB")
    model = loaded(kind, out).float()
    written = model.generate(torch.tensor([[1, 5, 9]]), max_new_tokens=4, min_new_tokens=4)
    assert written.shape == (1, 7)
