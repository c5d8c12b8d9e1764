"""Models whose names differ by prefixes."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

import mergegraph
from mergegraph import MergeGraphError

ENCODER = {
    "embeddings.word.weight": [[1.0, 2.0], [3.0, 4.0]],
    "encoder.layer.0.w.weight": [[1.0]],
    "encoder.layer.0.LayerNorm.weight": [1.0],
    "encoder.layer.1.w.weight": [[2.0]],
    "encoder.layer.1.LayerNorm.weight": [3.0],
}
SEEING = {
    "language_model.model.layers.0.q.weight": [[1.0, 2.0]],
    "language_model.lm_head.weight": [[3.0, 4.0]],
    "vision_tower.layers.0.q.weight": [[5.0, 6.0]],
    "projector.weight": [[7.0]],
}
NEW_NAMES = {
    "model.language_model.layers.0.q.weight": [[1.0, 2.0]],
    "lm_head.weight": [[3.0, 4.0]],
    "model.vision_tower.layers.0.q.weight": [[5.0, 6.0]],
    "model.projector.weight": [[7.0]],
}


def under(prefix, tensors):
    return {f"{prefix}{name}": value for name, value in tensors.items()}


def doubled(tensors):
    return {name: (2 * torch.tensor(value)).tolist() for name, value in tensors.items()}


@pytest.fixture
def added(checkpoint, tmp_path):
    """Add two models up: the prepared run, and the tensors that come of it."""

    def merge(one, other, **keys):
        models = [{"model": str(checkpoint(*each))} for each in (("one", one), ("other", other))]
        recipe = {"merge_method": "linear", "models": models, "parameters": {"weight": 1}, **keys}
        (tmp_path / "r.yaml").write_text(json.dumps(recipe))
        told = mergegraph.plan(tmp_path / "r.yaml", out=tmp_path / "out").plan
        mergegraph.run(tmp_path / "r.yaml", out=tmp_path / "out")
        return told, load_file(tmp_path / "out" / "model.safetensors")

    return merge


@pytest.mark.parametrize("prefix", ["bert.", "model.bert."])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_prefix_that_one_model_lacks_is_overlooked(prefix, is_first, added):
    models = [under(prefix, doubled(ENCODER)), ENCODER]
    plan, found = added(*(models if is_first else models[::-1]))
    assert found.keys() == models[not is_first].keys()
    name = next(name for name in found if name.endswith("layer.1.w.weight"))
    assert found[name].item() == pytest.approx(3.0)
    assert not any(each.left_out for each in plan.accounts)
    assert any("5 tensors of" in note and "are named otherwise" in note for note in plan.notes)


def test_parts_of_a_model_may_have_prefixes_of_their_own(added):
    _, found = added(SEEING, doubled(NEW_NAMES))
    wanted = {name: 1.5 * torch.tensor(value) for name, value in SEEING.items()}
    torch.testing.assert_close(found, wanted)


def test_a_head_that_one_model_has_alone_is_missing_as_ever(added):
    headed = {**under("bert.", ENCODER), "classifier.weight": [[1.0]]}
    with pytest.raises(MergeGraphError, match=r"classifier\.weight: not in .*other, but in .*one"):
        added(headed, ENCODER)


def test_old_words_for_norms_are_understood(added):
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): v for name, v in ENCODER.items()}
    _, found = added(under("bert.", old), doubled(ENCODER))
    assert found["bert.encoder.layer.1.LayerNorm.gamma"].item() == pytest.approx(4.5)


@pytest.mark.parametrize(
    "other",
    [
        {"a.layers.0.q.weight": [[1.0, 2.0]], "b.layers.0.q.weight": [[1.0, 2.0]]},
        {"model.layers.0.k.weight": [[1.0, 2.0]]},
        {"model.x.layers.0.q.weight": [[1.0, 2.0, 3.0]]},
        {"model.layers.0.q.weight": [[1.0, 2.0]], "classifier.dense.weight": [[1.0]]},
    ],
)
def test_models_that_differ_otherwise_are_not_made_to_fit(other, added):
    one = {"model.layers.0.q.weight": [[1.0, 2.0]], "model.pooler.dense.weight": [[1.0]]}
    with pytest.raises(MergeGraphError, match=r"not in .*, but in"):
        added(one, other)


def test_an_encoder_is_not_taken_for_a_decoder(added):
    with pytest.raises(MergeGraphError, match=r"not in .*, but in"):
        added({"encoder.layers.0.q.weight": [[1.0]]}, {"decoder.layers.0.q.weight": [[1.0]]})


def test_slices_find_the_layers_of_a_model_with_another_prefix(checkpoint, tmp_path):
    one = checkpoint("one", ENCODER, config={"num_hidden_layers": 2})
    other = checkpoint("other", under("bert.", doubled(ENCODER)), config={"num_hidden_layers": 2})
    slices = [
        {"sources": [{"model": str(one), "layer_range": [0, 1]}]},
        {"sources": [{"model": str(other), "layer_range": [0, 1]}]},
    ]
    (tmp_path / "r.yaml").write_text(json.dumps({"merge_method": "passthrough", "slices": slices}))
    mergegraph.run(tmp_path / "r.yaml", out=tmp_path / "out")
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert found["encoder.layer.1.w.weight"].item() == 2
