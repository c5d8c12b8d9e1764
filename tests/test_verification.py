"""Verification: what is found wrong in models on disk, one thing at a time."""

from __future__ import annotations

import json
import threading

import pytest
import torch
from safetensors.torch import load_file, save_file

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.provenance import digesting
from mergegraph.testing import tiny_checkpoint, tiny_family
from mergegraph.trust.verification import verify

RECIPE = """
merge_method: linear
models: [{model: models/tuned-1}, {model: models/tuned-2}]
parameters: {weight: 1}
"""
WEIGHTS = "model.safetensors"


@pytest.fixture
def result(tmp_path, monkeypatch):
    """A result of two small Llamas, and a way to spoil it."""
    monkeypatch.chdir(tmp_path)
    tiny_family(tmp_path / "models")
    (tmp_path / "r.yaml").write_text(RECIPE)
    mergegraph.run("r.yaml", out="out")
    return tmp_path / "out"


def differences(path, **options):
    return verify(path, **options).differences


def changed(path, **tensors):
    stored = load_file(path / WEIGHTS) | tensors
    save_file({k: v for k, v in stored.items() if v is not None}, path / WEIGHTS)


def configured(path, **values):
    config = json.loads((path / "config.json").read_text()) | values
    (path / "config.json").write_text(json.dumps(config))


# -- against the manifest ------------------------------------------------------------------------


def test_a_result_is_as_its_manifest_says(result):
    found = verify(result, inputs=True)
    assert (found.differences, found.notes) == ((), ())
    assert found.tensors == len(load_file(result / WEIGHTS))


def test_every_difference_is_told(result):
    wrong = {"model.norm.weight": torch.zeros(16, dtype=torch.bfloat16), "lm_head.weight": None}
    changed(result, **wrong, more=torch.ones(2))
    (result / "tokenizer.json").write_text("{}")
    (result / "generation_config.json").unlink()
    (result / "notes.txt").write_text("x")
    told = differences(result)
    assert {
        "more: not in the manifest",
        "lm_head.weight: missing",
        "model.norm.weight: its bytes differ",
        "tokenizer.json: its bytes differ",
        "generation_config.json: missing",
        "notes.txt: not in the manifest",
    } <= set(told)


def test_a_single_bit_is_noticed(result):
    data = bytearray((result / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (result / WEIGHTS).write_bytes(data)
    (told,) = differences(result)
    assert told.endswith(": its bytes differ")


def test_the_digest_of_all_tensors_is_checked(result):
    path = result / "mergegraph.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "weights": "0" * 64}))
    (told,) = differences(result)
    assert told == "mergegraph.json: its weights is not the digest of its tensors"


def test_another_shape_is_told_with_both(result):
    changed(result, **{"model.norm.weight": torch.ones(4, 4)})
    assert "model.norm.weight: is float32[4, 4], the manifest says bfloat16[16]" in differences(
        result
    )


def test_a_file_that_is_cut_is_told_with_all_that_it_lacks(result):
    whole = (result / WEIGHTS).read_bytes()
    (result / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    told = differences(result)
    assert any("is it complete?" in each for each in told)
    assert "model.norm.weight: missing" in told


def test_an_edited_card_is_worth_a_word_only(result):
    (result / "README.md").write_text("mine")
    found = verify(result)
    assert (found.differences, found.notes) == ((), ("README.md: edited since the run",))


def test_what_git_and_the_hub_leave_is_not_looked_at(result):
    (result / ".cache" / "huggingface").mkdir(parents=True)
    (result / ".cache" / "huggingface" / "x").write_text("x")
    (result / ".gitattributes").write_text("x")
    assert differences(result) == ()


def test_a_manifest_of_the_first_format_is_read(result):
    path = result / "mergegraph.json"
    told = json.loads(path.read_text())
    old = {key: told[key] for key in ("key", "recipe", "settings", "stage", "packages", "files")}
    old |= {"format": 1, "seed": 0, "methods": {"linear": "mergegraph 0.1.0"}}
    old |= {"inputs": told["inputs"], "tensors": told["tensors"]}
    path.write_text(json.dumps(old))
    assert differences(result, inputs=True) == ()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("format", 3, "its format is 3, known are 1 and 2"),
        ("tensors", [], "parts of it are missing or wrong"),
        ("files", {"../x": 1}, "'../x' is not a file in it"),
        ("sides", {"/etc/passwd": "0"}, "'/etc/passwd' is not a file in it"),
        ("inputs", [{"model": 1}], "its inputs are not told as they should be"),
        ("files", {WEIGHTS: "1"}, '"1" is not a count'),
    ],
)
def test_a_manifest_that_is_not_sound_is_an_error(result, key, value, told):
    path = result / "mergegraph.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(MergeGraphError, match="not a manifest of mergegraph") as caught:
        verify(result)
    assert told in str(caught.value)


# -- without a manifest --------------------------------------------------------------------------


def test_a_model_without_manifest_is_checked_as_far_as_can_be(tmp_path):
    path = tiny_checkpoint(tmp_path / "m")
    found = verify(path)
    assert (found.differences, found.has_manifest) == ((), False)
    assert "no mergegraph.json" in found.notes[0]
    changed(path, **{"model.norm.weight": torch.full((16,), float("inf"))})
    assert "model.norm.weight: 16 entries are NaN or infinite" in differences(path)


def test_a_directory_with_nothing_to_check_is_an_error(tmp_path):
    with pytest.raises(MergeGraphError, match="holds neither"):
        verify(tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "float8_e5m2"])
def test_non_finite_entries_are_counted_in_every_dtype(tmp_path, dtype):
    path = tiny_checkpoint(tmp_path / "m")
    values = torch.tensor([1.0, float("nan"), float("inf"), -float("inf")])
    changed(path, odd=values.to(getattr(torch, dtype)))
    assert "odd: 3 entries are NaN or infinite" in differences(path)


def test_a_recipe_may_let_non_finite_entries_pass(result, tmp_path):
    changed(
        tmp_path / "models" / "tuned-1", **{"model.norm.weight": torch.full((16,), float("inf"))}
    )
    (tmp_path / "r.yaml").write_text(RECIPE + "on_nonfinite: propagate\n")
    mergegraph.run("r.yaml", out="passed")
    found = verify("passed")
    assert found.differences == ()
    assert "model.norm.weight: 16 entries are NaN or infinite" in found.notes


# -- config and index ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"num_hidden_layers": 3}, "config.json: says 3 layers, the tensors have 2 (model.layers)"),
        ({"vocab_size": 65},
         "config.json: says vocab_size 65, model.embed_tokens.weight has 64 rows"),
        ({"hidden_size": 32},
         "config.json: says hidden_size 32, model.embed_tokens.weight has 16 columns"),
        ({"tie_word_embeddings": True},
         "config.json: says lm_head.weight is tied to the embedding, its values are others"),
        ({"torch_dtype": "float32"}, "config.json: says dtype float32, most tensors are bfloat16"),
    ],
)  # fmt: skip
def test_a_config_that_does_not_fit_the_tensors_is_told(tmp_path, values, told):
    path = tiny_checkpoint(tmp_path / "m")
    configured(path, **values)
    assert told in differences(path)


def test_a_head_that_is_missing_is_told(tmp_path):
    path = tiny_checkpoint(tmp_path / "m")
    changed(path, **{"lm_head.weight": None})
    (told,) = differences(path)
    assert told.endswith("the head is not tied to the embedding, and no head is stored")


def test_a_layer_that_is_missing_is_told(tmp_path):
    path = tiny_checkpoint(tmp_path / "m", layers=3)
    stored = load_file(path / WEIGHTS)
    save_file({k: v for k, v in stored.items() if ".1." not in k}, path / WEIGHTS)
    assert differences(path) == ("model.layers: layer 1 of 3 is missing",)


def test_an_index_is_compared_with_the_files(result):
    mergegraph.run("r.yaml", out="sharded", shard_size="10KB")
    folder = result.parent / "sharded"
    assert differences(folder) == ()
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.norm.weight"] = "model-00009-of-00009.safetensors"
    index["weight_map"]["ghost"] = index["weight_map"].pop("lm_head.weight")
    index["metadata"]["total_size"] += 1
    path.write_text(json.dumps(index))
    told = [each for each in differences(folder) if "its bytes" not in each]
    assert [each.split(": ", 1)[1].split(" that")[0].split(" 1")[0] for each in told] == [
        "says",
        "names ghost, which is in no file",
        "does not name lm_head.weight",
        "says total_size",
    ]
    path.unlink()
    assert any("index.json: missing" in each for each in differences(folder))


# -- the inputs ----------------------------------------------------------------------------------


def test_an_input_that_changed_is_told(result, tmp_path):
    tiny_checkpoint(tmp_path / "models" / "tuned-2", seed=99)
    told = differences(result, inputs=True)
    fact = "model.safetensors is not the file that was read: its fingerprint differs"
    assert told == (f"input models/tuned-2: {fact}",)
    assert differences(result) == ()


def test_an_input_that_is_gone_is_told(result, tmp_path):
    (tmp_path / "models" / "tuned-2" / WEIGHTS).unlink()
    (told,) = differences(result, inputs=True)
    assert told.startswith("input models/tuned-2: cannot be compared: ")


def test_inputs_are_found_from_wherever_one_stands(result, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert differences(result, inputs=True) == ()
    assert verify("../out", inputs=True).differences == ()


def test_an_input_that_is_a_result_is_checked_in_turn(result, tmp_path):
    (tmp_path / "r2.yaml").write_text(RECIPE.replace("models/tuned-1", "out"))
    mergegraph.run("r2.yaml", out="child")
    assert verify("child", inputs=True).tensors == 2 * len(load_file(result / WEIGHTS))
    (result / "tokenizer.json").write_text("{}")
    tiny_checkpoint(tmp_path / "models" / "tuned-1", seed=99)
    told = differences(tmp_path / "child", inputs=True)
    assert told[0] == "input out: tokenizer.json: its bytes differ"
    assert told[1].startswith("input out: input models/tuned-1: model.safetensors is not the file")


# -- memory and threads --------------------------------------------------------------------------


def test_threads_share_the_work_and_agree(result, monkeypatch):
    monkeypatch.setattr(digesting, "_BLOCK", 64)
    seen, lock = [], threading.Lock()

    def note(nbytes):
        with lock:
            seen.append(nbytes)

    for threads in (1, 3):
        seen.clear()
        found = verify(result, threads=threads, on_bytes=note)
        assert found.differences == ()
        assert sum(seen) == found.nbytes
        assert max(seen) <= 64
