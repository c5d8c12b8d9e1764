"""Adapters on models that are not quite as they were made for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.testing.checkpoints import tiny_checkpoint

BASE = "base_model.model."
PAGE = Path(__file__).parents[2] / "docs" / "adapters.md"
RECIPES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def adapter(tmp_path):
    """Write an adapter: `adapter({"model.q": (rows, columns)})`; gives its path."""

    def write(shapes=(), rank=2, whole=(), name="adapter", **settings):
        generator = torch.Generator().manual_seed(1)
        tensors = {
            BASE + n: torch.randn(shape, generator=generator) for n, shape in dict(whole).items()
        }
        for module, (rows, columns) in dict(shapes).items():
            tensors[f"{BASE}{module}.lora_A.weight"] = torch.randn(
                rank, columns, generator=generator
            )
            tensors[f"{BASE}{module}.lora_B.weight"] = torch.randn(rows, rank, generator=generator)
        path = tmp_path / name
        path.mkdir()
        save_file(tensors, path / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, **settings}
        (path / "adapter_config.json").write_text(json.dumps(config))
        return path

    return write


def fold(folder, **options):
    path = folder / "recipe.yaml"
    model = f"{folder / 'base'}+{folder / 'adapter'}"
    path.write_text(json.dumps({"merge_method": "passthrough", "models": [{"model": model}]}))
    mergegraph.run(path, out=folder / "out", restart=True, **options)
    return load_file(folder / "out" / "model.safetensors")


def change(path, module):
    tensors = load_file(path / "adapter_model.safetensors")
    return tensors[f"{BASE}{module}.lora_B.weight"] @ tensors[f"{BASE}{module}.lora_A.weight"]


Q = "model.layers.0.self_attn.q_proj"


def test_names_below_another_prefix_are_found(tmp_path, adapter):
    base = tiny_checkpoint(tmp_path / "base", dtype="float32")
    tensors = load_file(base / "model.safetensors")
    renamed = {n.replace("model.", "language_model.model.", 1): t for n, t in tensors.items()}
    save_file(renamed, base / "model.safetensors")
    path = adapter({Q: (16, 16)})
    found = fold(tmp_path)
    torch.testing.assert_close(
        found[f"language_model.{Q}.weight"], tensors[f"{Q}.weight"] + change(path, Q)
    )


def test_the_dtype_of_the_model_is_kept(tmp_path, adapter):
    base = tiny_checkpoint(tmp_path / "base")
    before = load_file(base / "model.safetensors")[f"{Q}.weight"]
    path = adapter({Q: (16, 16)})
    found = fold(tmp_path)[f"{Q}.weight"]
    assert torch.equal(found, (before.float() + change(path, Q)).bfloat16())


@pytest.mark.parametrize(
    ("shapes", "settings", "fact"),
    [
        (
            {"model.layers.7.self_attn.q_proj": (16, 16)},
            {},
            "changes model.layers.7.self_attn.q_proj",
        ),
        (
            {Q: (16, 8)},
            {},
            f"changes {Q}.weight, and no tensor of the model has that name and fits",
        ),
        ({Q: (16, 16)}, {"r": 3}, "have not the rank 3"),
    ],
)
def test_what_does_not_fit_is_told_before_any_work(shapes, settings, fact, tmp_path, adapter):
    tiny_checkpoint(tmp_path / "base")
    adapter(shapes, **settings)
    with pytest.raises(MergeGraphError, match=fact):
        fold(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_name_that_may_be_two_is_refused(tmp_path, adapter):
    base = tiny_checkpoint(tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    towers = {
        n.replace("model.", prefix, 1): t.clone()
        for n, t in tensors.items()
        for prefix in ("text.", "vision.")
    }
    save_file(towers, base / "model.safetensors")
    adapter({Q: (16, 16)})
    fact = f"may be text.{Q[6:]}.weight or vision.{Q[6:]}.weight of the model"
    with pytest.raises(MergeGraphError, match=fact):
        fold(tmp_path)


def test_half_a_pair_is_refused(tmp_path, adapter):
    tiny_checkpoint(tmp_path / "base")
    adapter(whole={f"{Q}.lora_A.weight": (2, 16)})
    with pytest.raises(
        MergeGraphError, match="has lora_A, not a pair of factors; is the file whole"
    ):
        fold(tmp_path)


def test_a_longer_vocabulary_is_that_of_the_result(tmp_path, adapter):
    tiny_checkpoint(tmp_path / "base")
    whole = {"model.embed_tokens.weight": (70, 16), "lm_head.weight": (70, 16)}
    adapter(whole=whole, modules_to_save=["embed_tokens", "lm_head"])
    assert fold(tmp_path)["model.embed_tokens.weight"].shape == (70, 16)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["vocab_size"] == 70


def test_half_a_longer_vocabulary_is_refused(tmp_path, adapter):
    tiny_checkpoint(tmp_path / "base")
    adapter(whole={"model.embed_tokens.weight": (70, 16)})
    with pytest.raises(MergeGraphError, match="only some of the tensors of the vocabulary"):
        fold(tmp_path)


@pytest.mark.parametrize("module", ["lm_head", "model.embed_tokens"])
def test_a_tied_head_becomes_its_own_where_one_is_changed(module, tmp_path, adapter):
    base = tiny_checkpoint(tmp_path / "base", is_tied=True, dtype="float32")
    embedding = load_file(base / "model.safetensors")["model.embed_tokens.weight"]
    whole = {f"{module}.weight": (64, 16)}
    path = adapter(whole=whole, modules_to_save=[module.rpartition(".")[2]])
    found = fold(tmp_path)
    own = load_file(path / "adapter_model.safetensors")[f"{BASE}{module}.weight"]
    other = "model.embed_tokens" if module == "lm_head" else "lm_head"
    assert torch.equal(found[f"{module}.weight"], own)
    assert torch.equal(found[f"{other}.weight"], embedding)
    assert not json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"]


def test_a_head_that_follows_its_embedding_stays_tied(tmp_path, adapter):
    tiny_checkpoint(tmp_path / "base", is_tied=True)
    whole = {"model.embed_tokens.weight": (70, 16), "lm_head.weight": (70, 16)}
    adapter(whole=whole)
    assert "lm_head.weight" not in fold(tmp_path)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"]


def test_the_bytes_are_the_same_for_any_budget_and_threads(tmp_path, adapter):
    tiny_checkpoint(tmp_path / "base", hidden=96, vocabulary=900)
    adapter({Q: (96, 96), "model.layers.1.mlp.down_proj": (96, 192), "lm_head": (900, 96)}, rank=5)
    wanted = fold(tmp_path)
    for options in (
        {"threads": 1, "memory": "3MiB"},
        {"threads": 3},
        {"threads": 2, "memory": "8MiB"},
    ):
        found = fold(tmp_path, **options)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_folded_model_is_merged_like_any_other(tmp_path, adapter):
    base = tiny_checkpoint(tmp_path / "base", dtype="float32")
    path = adapter({Q: (16, 16)})
    models = [{"model": f"{base}+{path}", "parameters": {"weight": 0.5}}]
    recipe = {"merge_method": "task_arithmetic", "base_model": str(base), "models": models}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    mergegraph.run(tmp_path / "recipe.yaml", out=tmp_path / "out")
    found = load_file(tmp_path / "out" / "model.safetensors")[f"{Q}.weight"]
    before = load_file(base / "model.safetensors")[f"{Q}.weight"]
    torch.testing.assert_close(found, before + 0.5 * change(path, Q))


def test_a_model_is_not_merged_with_a_bare_adapter(tmp_path, adapter):
    base, path = tiny_checkpoint(tmp_path / "base"), adapter({Q: (16, 16)})
    models = [{"model": str(each), "parameters": {"weight": 1}} for each in (base, path)]
    (tmp_path / "recipe.yaml").write_text(json.dumps({"merge_method": "linear", "models": models}))
    with pytest.raises(
        MergeGraphError, match=r"an adapter .*, not a model; name it as model.adapter"
    ):
        mergegraph.plan(tmp_path / "recipe.yaml")


@pytest.mark.parametrize(("text", "count"), [*zip(RECIPES, (21, 2), strict=True)])
def test_recipes_of_the_page_can_be_planned(text, count, tmp_path, adapter, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_checkpoint(tmp_path / "models" / "base")
    (tmp_path / "adapters").mkdir()
    for name in ("poetry", "law"):
        adapter({Q: (16, 16)}, name=f"adapters/{name}", rank=12)
    (tmp_path / "recipe.yaml").write_text(text)
    assert len(mergegraph.plan("recipe.yaml").plan.outputs) == count


def test_a_method_without_a_base_is_told_so(tmp_path, adapter):
    base = tiny_checkpoint(tmp_path / "base")
    text = f"merge_method: ties\nmodels:\n- {{model: {base}, parameters: {{weight: 1}}}}\n"
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(MergeGraphError, match="yaml:1:15: ties needs a base_model"):
        mergegraph.plan(tmp_path / "recipe.yaml")


def test_what_is_said_of_adapters_is_refused_of_models(tmp_path):
    base = tiny_checkpoint(tmp_path / "base")
    recipe = {
        "merge_method": "passthrough",
        "models": [{"model": str(base)}],
        "adapter": {"rank": 2},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    with pytest.raises(MergeGraphError, match="adapter is for merges of adapters"):
        mergegraph.plan(tmp_path / "recipe.yaml")
