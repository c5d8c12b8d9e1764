"""Adapters merged with adapters, against the sums of what they multiply out to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import mergegraph
from mergegraph import MergeGraphError

pytest.importorskip("peft")
pytest.importorskip("transformers")

from families import adapted, gpt2, llama
from peft import PeftModel

pytestmark = pytest.mark.filterwarnings("ignore")  # of what is meant here
WEIGHTS = "model.safetensors"

SETTINGS = (
    {"r": 4, "target_modules": ["q_proj", "v_proj"], "lora_alpha": 12},
    {"r": 2, "target_modules": ["q_proj", "down_proj"], "use_rslora": True,
     "rank_pattern": {"layers.0.self_attn.q_proj": 3}},
    {"r": 3, "target_modules": ["v_proj", "embed_tokens"], "alpha_pattern": {"v_proj": 1}},
)  # fmt: skip


def deltas(model: Any) -> dict[str, torch.Tensor]:
    """What an adapter adds to each weight, in double precision."""
    found = {}
    for name, module in model.named_modules():
        if hasattr(module, "get_delta_weight"):
            inner = module.double()
            found[name.removeprefix("base_model.model.")] = inner.get_delta_weight("default")
    return found


def family(folder: Path, make: Any = llama, settings: Any = SETTINGS) -> list[dict[str, Any]]:
    """Adapters `a`, `b`, ... of one model; gives what each adds."""
    found = []
    for i, each in enumerate(settings):
        model = adapted(folder, make(), name="abc"[i], seed=i + 1, **each)
        found.append(deltas(model))
    return found


def merged(folder: Path, count: int = 3, **recipe: Any) -> Path:
    models = recipe.pop("models", [{"model": str(folder / "abc"[i])} for i in range(count)])
    for i, weight in enumerate(recipe.pop("weights", ())):
        models[i]["parameters"] = {"weight": weight}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({"models": models, **recipe}))
    mergegraph.run(path, out=folder / "out")
    return folder / "out"


def loaded(folder: Path, out: Path, make: Any = llama) -> dict[str, torch.Tensor]:
    """What PEFT makes of the result: what it adds to each weight."""
    model = PeftModel.from_pretrained(make(), out)
    stored = load_file(out / "adapter_model.safetensors")
    names = {f"{n.replace('.default', '')}" for n, _ in model.named_parameters() if "lora_" in n}
    assert names == set(stored)
    return deltas(model)


def expect_sum(found, parts, weights, rtol=1e-5):
    names = {name for part in parts for name in part}
    assert set(found) == names
    for name in names:
        wanted = sum(w * p[name] for p, w in zip(parts, weights, strict=True) if name in p)
        error = (found[name].double() - wanted).norm() / wanted.norm()
        assert error < rtol, (name, error)


@pytest.mark.parametrize(
    ("recipe", "weights"),
    [
        ({"merge_method": "linear", "weights": [0.5, 0.3, 0.2]}, [0.5, 0.3, 0.2]),
        ({"merge_method": "linear", "weights": [1, 1, 2]}, [0.25, 0.25, 0.5]),
        ({"merge_method": "task_arithmetic", "weights": [1, -0.5, 2]}, [1, -0.5, 2]),
        (
            {"merge_method": "task_arithmetic", "weights": [1, 1, 2],
             "parameters": {"lambda": 0.5, "normalize": True}},
            [0.125, 0.125, 0.25],
        ),
    ],
)  # fmt: skip
def test_sums_are_exact(recipe, weights, tmp_path):
    parts = family(tmp_path)
    out = merged(tmp_path, **dict(recipe))
    expect_sum(loaded(tmp_path, out), parts, weights)


def test_weights_stored_inputs_first(tmp_path):
    settings = [{"r": 2, "target_modules": ["c_attn"], "fan_in_fan_out": True}] * 2
    parts = family(tmp_path, gpt2, settings)
    out = merged(tmp_path, 2, merge_method="linear", weights=[1, 1])
    expect_sum(loaded(tmp_path, out, gpt2), parts, [0.5, 0.5])


def truncated(tensor: torch.Tensor, rank: int) -> torch.Tensor:
    left, values, right = torch.linalg.svd(tensor.double(), full_matrices=False)
    return left[:, :rank] * values[:rank] @ right[:rank]


def test_a_rank_keeps_the_largest_singular_values(tmp_path):
    parts = family(tmp_path)
    out = merged(tmp_path, merge_method="linear", weights=[1, 1, 1], adapter={"rank": 4})
    found = loaded(tmp_path, out)
    for name, delta in found.items():
        wanted = truncated(sum(p[name] for p in parts if name in p) / 3, 4)
        torch.testing.assert_close(delta.double(), wanted, rtol=1e-4, atol=1e-6)
    config = json.loads((out / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 4)


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.999, 1.0])
def test_energy_keeps_a_share_of_the_squares(energy, tmp_path):
    parts = family(tmp_path)
    out = merged(tmp_path, merge_method="linear", weights=[1, 1, 1], adapter={"energy": energy})
    found = loaded(tmp_path, out)
    for name, delta in found.items():
        wanted = sum(p[name] for p in parts if name in p) / 3
        squares = torch.linalg.svdvals(wanted).square()
        rank = int((squares.cumsum(0) < energy * squares.sum() * (1 - 1e-12)).sum()) + 1
        own = torch.linalg.matrix_rank(delta, rtol=1e-5)
        assert own == rank or energy == 1.0
        assert delta.double().square().sum() >= (energy - 1e-6) * squares.sum()


@pytest.mark.parametrize("method", ["ties", "dare_ties", "breadcrumbs", "della", "magmax"])
def test_other_methods_work_on_what_factors_multiply_out_to(method, tmp_path):
    parts = family(tmp_path)
    parameters = {"weight": 1.0} if method != "magmax" else {}
    out = merged(tmp_path, merge_method=method, parameters=parameters, adapter={"rank": 16})
    found = loaded(tmp_path, out)
    names = {name for part in parts for name in part}
    zeros = {name: torch.zeros_like(found[name]).float() for name in names}
    models = {
        "abc"[i]: {name: part.get(name, zeros[name]).float() for name in names}
        for i, part in enumerate(parts)
    }
    if method in ("dare_ties", "della"):
        return
    wanted = mergegraph.merge(models, base=zeros, method=method, **parameters)
    for name in names:
        torch.testing.assert_close(found[name].float(), wanted[name], rtol=1e-4, atol=1e-5)


def test_one_adapter_passes_through_as_it_is(tmp_path):
    parts = family(tmp_path)
    models = [{"model": str(tmp_path / "a")}]
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps({"merge_method": "passthrough", "models": models}))
    assert not any("not exact" in note for note in mergegraph.plan(path).notes)
    out = merged(tmp_path, 1, merge_method="passthrough")
    expect_sum(loaded(tmp_path, out), parts[:1], [1])


def test_the_plan_says_what_is_not_exact(tmp_path):
    family(tmp_path)
    path = tmp_path / "recipe.yaml"
    models = [{"model": str(tmp_path / name)} for name in "abc"]
    path.write_text(
        json.dumps({"merge_method": "ties", "models": models, "parameters": {"weight": 1}})
    )
    notes = mergegraph.plan(path).notes
    assert any("not exact" in note for note in notes)


@pytest.mark.parametrize(
    ("settings", "fact"),
    [
        ({"use_dora": True}, "has DoRA's magnitudes"),
        ({"modules_to_save": ["lm_head"]}, "has tensors trained whole, such as lm_head.weight"),
        ({"trainable_token_indices": [1]}, "has rows of trained tokens"),
    ],
)
def test_what_does_not_add_up_is_refused(settings, fact, tmp_path):
    adapted(tmp_path, llama(), name="a", **settings)
    adapted(tmp_path, llama(), name="b")
    with pytest.raises(MergeGraphError, match=f"a: {fact}.*fold each into its model"):
        merged(tmp_path, 2, merge_method="linear", weights=[1, 1])
    assert not (tmp_path / "out").exists()


def test_an_adapter_is_folded_into_a_stage_as_into_any_model(tmp_path):
    """Two adapters, one folded after the other, add up; that stage is used is known, too."""
    family(tmp_path, settings=SETTINGS[:2])
    base, first, second = (tmp_path / name for name in ("base", "a", "b"))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: first\nmerge_method: passthrough\nmodels: [{{model: {base}+{first}}}]\n---\n"
        f"merge_method: passthrough\nmodels: [{{model: first+{second}}}]\n"
    )
    both = load_file(mergegraph.run(recipe, out=tmp_path / "both").directories[0] / WEIGHTS)
    alone = []
    for adapter in (first, second):
        recipe.write_text(f"merge_method: passthrough\nmodels: [{{model: {base}+{adapter}}}]\n")
        alone.append(load_file(mergegraph.run(recipe, out=tmp_path / f"only-{adapter.name}")
                               .directories[0] / WEIGHTS))  # fmt: skip
    start = load_file(base / WEIGHTS)
    for name, tensor in both.items():
        expected = alone[0][name] + alone[1][name] - start[name]
        torch.testing.assert_close(tensor, expected, rtol=0, atol=1e-5)
