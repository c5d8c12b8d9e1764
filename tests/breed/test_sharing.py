"""Rounds of ColD Fusion: bodies are averaged, heads stay private, rounds are kept count of."""

from __future__ import annotations

import json

import pytest
import torch
from examples import EXAMPLES
from safetensors.torch import load_file

from mergegraph import MergeGraphError, pipeline
from mergegraph.breed.heads import heads_of
from mergegraph.breed.rounds import read_rounds
from mergegraph.breed.sharing import carry_out_round, prepare_round


def make(recipe, out):
    pipeline.run(recipe, out=out, threads=1)


@pytest.fixture
def round_of(plugins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def carry_out(shared, *contributions, **options):
        found = prepare_round(shared, contributions, plugins, tmp_path / "rounds", **options)
        carry_out_round(found, make)
        return load_file(found.result / "model.safetensors")

    return carry_out


def test_cold_fusion_round(checkpoint, round_of):
    example = EXAMPLES["cold_fusion_round"]
    checkpoint("shared", {"body.weight": example["inputs"]["shared"]})
    for i, each in enumerate(example["inputs"]["contributions"]):
        checkpoint(f"c{i}", {"body.weight": each})
    found = round_of("shared", "c0", "c1", "c2")
    assert found["body.weight"].tolist() == example["expected"]["next_shared"]


def test_heads_stay_private(checkpoint, round_of):
    """The shared one has its own, and of others nothing is seen, be they of another shape."""
    body = "model.layers.0.weight"
    checkpoint("shared", {body: [0.0, 0.0], "lm_head.weight": [[1.0]], "lm_head.bias": [1.0]})
    checkpoint("c0", {body: [1.0, 2.0], "lm_head.weight": [[5.0, 6.0]], "score.weight": [[3.0]]})
    checkpoint("c1", {body: [3.0, 0.0], "classifier.dense.weight": [[7.0]]})
    found = round_of("shared", "c0", "c1")
    assert found.keys() == {body, "lm_head.weight", "lm_head.bias"}
    assert found[body].tolist() == [2.0, 1.0]
    assert found["lm_head.weight"].tolist() == [[1.0]]


def test_heads_may_be_shared(checkpoint, round_of):
    for name, value in {"shared": 0.0, "c0": 1.0, "c1": 3.0}.items():
        checkpoint(name, {"body.weight": [value], "lm_head.weight": [[value]]})
    assert round_of("shared", "c0", "c1", shares_heads=True)["lm_head.weight"].tolist() == [[2.0]]


def test_rounds_go_on_from_what_is_shared(checkpoint, round_of, tmp_path):
    for name, value in {"shared": 0.0, "c0": 2.0, "c1": 6.0, "c2": 4.0}.items():
        checkpoint(name, w=[value])
    assert round_of("shared", "c0", "c1")["w"].tolist() == [4.0]
    assert round_of("shared", "c0", "c1")["w"].tolist() == [4.0], "the same round once more"
    assert len(read_rounds(tmp_path / "rounds")) == 1
    assert round_of(None, "c0", "c2")["w"].tolist() == [3.0]
    first, second = read_rounds(tmp_path / "rounds")
    assert second["shared"] == first["result"]
    assert [each["model"] for each in second["contributions"]] == ["c0", "c2"]
    with pytest.raises(MergeGraphError, match="2 rounds are done"):
        round_of("shared", "c1")


def test_contribution_to_an_earlier_round_is_told(checkpoint, round_of, plugins, tmp_path):
    for name, value in {"shared": 0.0, "c0": 2.0, "c1": 6.0}.items():
        checkpoint(name, w=[value])
    round_of("shared", "c0")
    found = prepare_round(None, ["c0", "c1"], plugins, tmp_path / "rounds")
    assert found.notes == ("c0: was a contribution to round 1, too, as it is",)


def test_contribution_without_the_body_is_refused(checkpoint, round_of, tmp_path):
    checkpoint("shared", {"a.weight": [1.0], "b.weight": [1.0, 2.0]})
    checkpoint("c0", {"b.weight": [1.0]})
    with pytest.raises(MergeGraphError) as found:
        round_of("shared", "c0")
    assert "c0: a.weight: is missing" in str(found.value)
    assert "c0: b.weight: is (1,), and in the shared body (2,)" in str(found.value)
    assert not (tmp_path / "rounds").exists()


def test_contribution_that_learnt_nothing_is_refused(checkpoint, round_of):
    checkpoint("shared", w=torch.ones(3))
    checkpoint("c0", w=torch.ones(3))
    with pytest.raises(MergeGraphError, match="shared and c0: have the same weights"):
        round_of("shared", "c0")


def test_first_round_needs_something_shared(checkpoint, round_of):
    checkpoint("c0", w=[1.0])
    with pytest.raises(MergeGraphError, match=r"there was no round yet; .* --base"):
        round_of(None, "c0")


def test_record_of_rounds_that_is_none_is_told(checkpoint, round_of, tmp_path):
    checkpoint("shared", w=[0.0])
    checkpoint("c0", w=[1.0])
    (tmp_path / "rounds").mkdir()
    (tmp_path / "rounds" / "rounds.json").write_text(json.dumps({"rounds": [1]}))
    with pytest.raises(MergeGraphError, match="is no record of rounds"):
        round_of("shared", "c0")


@pytest.mark.parametrize(
    ("names", "heads"),
    [
        (["model.embed_tokens.weight", "lm_head.weight"], ("lm_head",)),
        (["bert.a.weight", "classifier.out_proj.weight", "classifier.bias"], ("classifier",)),
        (["bert.a.weight", "cls.predictions.bias", "cls.predictions.decoder.weight"], ("cls",)),
        (["model.layers.0.score.weight", "score.weight"], ("score",)),
        (
            ["text_encoder/lm_head.weight", "unet/head.weight"],
            ("text_encoder/lm_head", "unet/head"),
        ),
        (["gpt_neox.embed_in.weight", "embed_out.weight"], ("embed_out",)),
        (["encoder.block.0.weight", "shared.weight"], ()),
    ],
)
def test_heads_are_told_by_names(names, heads):
    assert heads_of(names) == heads


def test_head_that_is_more_than_a_head_is_refused():
    with pytest.raises(MergeGraphError, match="stands under the head 'decoder' and is none"):
        heads_of(["decoder.weight", "decoder.block.0.weight"])


def test_a_model_of_somebody_else_is_no_round(checkpoint, round_of, tmp_path):
    for name, value in {"shared": 0.0, "c0": 2.0, "rounds/round-1": 7.0}.items():
        checkpoint(name, w=[value])
    with pytest.raises(MergeGraphError, match="made by no round of this folder; move it"):
        round_of("shared", "c0")
    assert load_file(tmp_path / "rounds/round-1/model.safetensors")["w"].tolist() == [7.0]
