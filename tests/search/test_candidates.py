"""Candidates give what evaluators ask for: tensors, config, and folders made for a while."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from mergegraph.errors import RunError
from mergegraph.library import library_of
from mergegraph.models.model import SideFiles
from mergegraph.plugins import installed_plugins
from mergegraph.search.candidates import InMemory, OnDisk
from mergegraph.settings import Settings
from mergegraph.testing import tiny_checkpoint

PLUGINS = installed_plugins()


@pytest.fixture
def opened(tmp_path):
    """Open a reference; what is made of it goes to `scratch`."""
    (tmp_path / "scratch").mkdir()

    def open_(reference, memory="1GiB"):
        library = library_of(PLUGINS)
        settings = Settings(memory, threads=1)
        return OnDisk(str(reference), library, settings, scratch=tmp_path / "scratch")

    return open_


def sides_of(model):
    return library_of(PLUGINS).shelf().model(str(model)).sides


def names_in(folder):
    return {each.name for each in folder.iterdir()}


# -- on disk ---------------------------------------------------------------------------------


def test_tensors_are_those_of_the_files(tmp_path, opened):
    model = tiny_checkpoint(tmp_path / "tiny")
    stored = load_file(model / "model.safetensors")
    with opened(model) as candidate:
        found = candidate.tensors
    assert list(found) == list(candidate._model.tensors)
    assert all(found[name].equal(stored[name]) for name in stored)


def test_a_plain_directory_is_given_as_it_is(tmp_path, opened):
    model = tiny_checkpoint(tmp_path / "tiny")
    with opened(model) as candidate:
        assert candidate.directory == model
        assert names_in(candidate.files) == names_in(model) - {"model.safetensors"}
    assert list((tmp_path / "scratch").iterdir()) == []


def test_tensors_may_be_asked_for_in_inference_mode(tmp_path, opened):
    with opened(tiny_checkpoint(tmp_path / "tiny")) as candidate, torch.inference_mode():
        found = candidate.tensors["model.norm.weight"]
    assert not found.is_inference()


def test_pickles_are_read_and_written_anew(tmp_path, opened):
    model = tiny_checkpoint(tmp_path / "tiny")
    stored = load_file(model / "model.safetensors")
    torch.save(stored, model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    with opened(model) as candidate:
        written = load_file(candidate.directory / "model.safetensors")
        assert "pytorch_model.bin" not in names_in(candidate.directory)
    assert all(written[name].equal(stored[name]) for name in stored)


def test_one_file_of_weights_is_a_model(tmp_path, opened):
    model = tiny_checkpoint(tmp_path / "tiny") / "model.safetensors"
    with opened(model) as candidate:
        written = load_file(candidate.directory / "model.safetensors")
        assert written.keys() == candidate.tensors.keys()


def test_an_adapter_is_folded_in(tmp_path, opened):
    model = tiny_checkpoint(tmp_path / "tiny", dtype="float32")
    name = "model.layers.0.self_attn.q_proj"
    (tmp_path / "adapter").mkdir()
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["q_proj"]}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    factors = {"A": torch.ones(1, 16), "B": torch.ones(16, 1)}
    named = {f"base_model.model.{name}.lora_{k}.weight": each for k, each in factors.items()}
    save_file(named, tmp_path / "adapter" / "adapter_model.safetensors")
    before = load_file(model / "model.safetensors")[f"{name}.weight"]
    with opened(f"{model}+{tmp_path / 'adapter'}") as candidate:
        written = load_file(candidate.directory / "model.safetensors")
        assert "adapter_config.json" not in names_in(candidate.directory)
    assert written[f"{name}.weight"].equal(before + 1)


def test_quantised_weights_are_decoded(tmp_path, opened):
    weights = {
        "w.indices": torch.tensor([[0, 1], [1, 1]], dtype=torch.uint8),
        "w.palette": torch.tensor([0.5, 2.0]),
    }
    (tmp_path / "model").mkdir()
    save_file(weights, tmp_path / "model" / "model.safetensors")
    with opened(tmp_path / "model") as candidate:
        assert candidate.tensors["w"].tolist() == [[0.5, 2.0], [2.0, 2.0]]
        assert load_file(candidate.directory / "model.safetensors").keys() == {"w"}
        assert "dequantised (palette)" in candidate.notes[0]


def test_tensors_beyond_the_budget_are_refused(tmp_path, opened):
    candidate = opened(tiny_checkpoint(tmp_path / "tiny"), "10KB")
    with pytest.raises(RunError, match=r"its tensors are .* and --memory 9.8 KiB; allow more"):
        _ = candidate.tensors


# -- in memory -------------------------------------------------------------------------------


def test_folders_of_tensors_load_as_their_model_does(tmp_path):
    transformers = pytest.importorskip("transformers")
    (tmp_path / "scratch").mkdir()
    model = tiny_checkpoint(tmp_path / "tiny", is_tied=True)
    tensors = load_file(model / "model.safetensors")
    config = json.loads((model / "config.json").read_text())
    ids = torch.tensor([[1, 2, 3]])

    def logits(folder):
        return transformers.AutoModelForCausalLM.from_pretrained(folder)(ids).logits

    made = InMemory("m", tensors, config, sides_of(model), scratch=tmp_path / "scratch")
    with made as candidate:
        found = logits(candidate.directory)
        assert names_in(candidate.directory) == names_in(model)
    assert found.equal(logits(model))
    assert not list((tmp_path / "scratch").iterdir())


def test_names_of_one_tensor_are_both_written(tmp_path):
    shared = torch.randn(3, 4).T  # not contiguous either
    with InMemory("m", {"a": shared, "b": shared}, {}, SideFiles(), scratch=tmp_path) as candidate:
        written = load_file(candidate.directory / "model.safetensors")
    assert written["a"].equal(shared)
    assert written["b"].equal(shared)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.bool, torch.int64, torch.float8_e4m3fn])
def test_every_dtype_is_written(tmp_path, dtype):
    tensors = {"t": torch.ones(2, 3).to(dtype), "nothing": torch.ones(0, 3).to(dtype)}
    with InMemory("m", tensors, {}, SideFiles(), scratch=tmp_path) as candidate:
        written = load_file(candidate.directory / "model.safetensors")
    assert {name: each.shape for name, each in written.items()} == {
        name: each.shape for name, each in tensors.items()
    }
    assert written["t"].dtype == dtype
    assert written["t"].float().equal(tensors["t"].float())


def test_texts_are_side_files_too(tmp_path):
    sides = SideFiles(texts={"tokenizer.json": "{}"})
    with InMemory("m", {}, {"model_type": "x"}, sides, scratch=tmp_path) as candidate:
        assert names_in(candidate.files) == {"config.json", "tokenizer.json"}


def test_a_disk_that_refuses_is_told(tmp_path):
    candidate = InMemory("m", {}, {}, SideFiles(), scratch=tmp_path / "nowhere")
    with candidate, pytest.raises(RunError, match=r"nowhere.*cannot be written: No such file"):
        _ = candidate.files
