"""Models of one architecture that are not stored alike, and layers that cannot be moved."""

from __future__ import annotations

import copy
import json
import shutil

import pytest
import torch
from kinds import KINDS
from safetensors.torch import save_file

from mergegraph import MergeGraphError


@pytest.fixture
def rewritten(tmp_path):
    """Write a member's files anew with other tensors, or with changes to its config."""

    def write(member, tensors, **config):
        path = tmp_path / "rewritten"
        shutil.copytree(member.path, path)
        save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
        said = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(said | config))
        return path

    return write


def mean_of(*paths, **keys):
    """A recipe for the mean of models."""
    models = [{"model": path} for path in paths]
    return {"merge_method": "linear", "models": models, "parameters": {"weight": 1}, **keys}


def mean_in_memory(one, other):
    """The mean of two models, by their own tensors."""
    found = copy.deepcopy(one.model)
    theirs = other.model.state_dict()
    found.load_state_dict({k: (v + theirs[k]) / 2 if v.is_floating_point() else v
                           for k, v in found.state_dict().items()})  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("kind", "stored", "called"),
    [
        ("gpt2", "transformer.", ""),
        ("bert, masked", "bert.", ""),
        ("bert", "", "bert."),
        ("llava", "language_model.model.", "model.language_model."),
        ("gemma3", "vision_tower.", "model.vision_tower."),
        ("qwen2_5_vl", "model.", "model.language_model."),
        ("t5", "", "transformer."),
    ],
)
def test_prefixes_of_older_and_newer_files_are_overlooked(
    kind, stored, called, family, merged, loaded, answer, rewritten
):
    _, one, other = family(kind)
    tensors = other.stored()
    renamed = {
        called + name.removeprefix(stored) if name.startswith(stored) else name: tensor
        for name, tensor in tensors.items()
    }
    assert renamed.keys() != tensors.keys()
    found = merged({"mean": mean_of(one.path, rewritten(other, renamed))}, whole=True)
    expected = answer(kind, mean_in_memory(one, other))
    given = answer(kind, loaded(kind, found["mean"]))
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)


def test_a_head_of_its_own_is_merged_with_an_embedding_that_is_one(family, merged, loaded, answer):
    """Of llama tied and untied: the result has a head of its own."""
    tied, untied = family("llama, tied")[1], family("llama")[2]
    found = merged({"mean": mean_of(tied.path, untied.path)}, whole=True)
    expected = copy.deepcopy(untied.model)
    ours = tied.model.state_dict()
    expected.load_state_dict({k: (v + ours[k]) / 2 for k, v in expected.state_dict().items()})
    given = answer("llama", loaded("llama", found["mean"]))
    torch.testing.assert_close(given, answer("llama", expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert, masked", "t5, untied", "llava", "opt"])
def test_rows_of_a_longer_vocabulary_are_left_out_if_asked(
    kind, family, merged, loaded, transformers
):
    """The config says how many rows are left, at every level."""
    one, other = family(kind)[1:]
    longer = copy.deepcopy(other.model)
    longer.resize_token_embeddings(56)
    path = one.path.parent / "longer"
    longer.save_pretrained(path)
    for order in ((one.path, path), (path, one.path)):
        name = f"first-{order[0].name}"
        found = merged({name: mean_of(*order, on_vocab="intersect")}, whole=False)
        config = loaded(kind, found[name]).config.get_text_config()
        assert config.vocab_size == KINDS["llama"].config["vocab_size"]


def test_layers_that_guess_further_tokens_stay_behind(family, merged, loaded, rewritten):
    """DeepSeek-V3 stores one behind its last layer; slices do not speak of it."""
    kind = "deepseek_v3"
    one = family(kind)[1]
    tensors = one.stored()
    last = {k: v for k, v in tensors.items() if k.startswith("model.layers.3.")}
    behind = {k.replace("layers.3", "layers.4"): v.clone() for k, v in last.items()}
    path = rewritten(one, tensors | behind, num_nextn_predict_layers=1)
    slices = [{"sources": [{"model": path, "layer_range": r}]} for r in ([0, 4], [1, 4])]
    recipe = {"merge_method": "passthrough", "slices": slices}
    config = loaded(kind, merged({"deep": recipe}, whole=False)["deep"]).config
    assert (config.num_hidden_layers, config.num_nextn_predict_layers) == (7, 0)
    slices[0]["sources"][0]["layer_range"] = [0, 5]
    with pytest.raises(MergeGraphError, match="has 4 layers, not 5"):
        merged({"deeper": recipe}, whole=False)


def test_both_sides_of_a_model_are_stacked_at_once(family, merged, loaded):
    kind = "t5"
    one, other = family(kind)[1:]
    modules = {
        side: {
            "slices": [
                {"sources": [{"model": one.path, "layer_range": [0, 2]}]},
                {"sources": [{"model": other.path, "layer_range": [0, 3]}]},
            ]
        }
        for side in ("encoder", "decoder")
    }
    recipe = {"merge_method": "passthrough", "base_model": one.path, "modules": modules}
    config = loaded(kind, merged({"deep": recipe}, whole=False)["deep"]).config
    assert (config.num_layers, config.num_decoder_layers) == (5, 5)


REFUSED = {
    "jamba": ([[0, 2], [3, 4]], "attn_layer_period: 2, by which layer 2 would not be of the kind"),
    "deepseek_v3": ([[0, 4], [0, 4]], "first_k_dense_replace: 1, by which layer 4"),
    "modernbert": ([[1, 4]], "layer 0 of .* is unlike the others, as in .*; it has to come first"),
    "t5": ([[0, 2]], r"which layers of .* are meant is not clear \(decoder.block \(4\), encoder"),
    "zamba2": ([[0, 4], [1, 2]], "num_mem_blocks: layers of .* share weights"),
    "gemma3n_text": ([[0, 4], [1, 2]], r"embed_tokens_per_layer.weight of .* for every layer"),
    "albert": ([[0, 4]], "has 1 layers, not 4"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_layers_that_would_not_be_what_they_were_are_refused(kind, family, merged):
    ranges, told = REFUSED[kind]
    path = family(kind)[1].path
    slices = [{"sources": [{"model": path, "layer_range": each}]} for each in ranges]
    with pytest.raises(MergeGraphError, match=told):
        merged({"moved": {"merge_method": "passthrough", "slices": slices}}, whole=False)


@pytest.mark.parametrize(
    ("kind", "module", "told"),
    [
        ("t5", "text_decoder", "did you mean 'decoder'"),
        ("qwen2_5_vl", "text_decoder", "which start with lm_head, model, visual"),
        ("whisper", "model.encoders", "did you mean 'model.encoder'"),
    ],
)
def test_modules_are_prefixes_and_those_there_are_are_told(kind, module, told, family, merged):
    _, one, other = family(kind)
    models = [{"model": one.path}, {"model": other.path}]
    recipe = {
        "merge_method": "linear",
        "base_model": one.path,
        "modules": {module: {"models": models, "parameters": {"weight": 1}}},
    }
    with pytest.raises(MergeGraphError, match=told):
        merged({"named": recipe}, whole=False)
