"""Checkpoints: what is a model on disk, what goes with it, and what is refused with a remedy."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mergegraph.errors import MergeGraphError
from mergegraph.files.checkpoint import INDEX, Checkpoint
from mergegraph.files.jsonfiles import read_json
from mergegraph.files.trees import Source
from mergegraph.library import Library
from mergegraph.plugins import installed_plugins


def open_checkpoint(reference: str) -> Checkpoint:
    return Library(installed_plugins().sources).checkpoint(reference)


def refusal(reference: Path | str) -> str:
    with pytest.raises(MergeGraphError) as caught:
        Library({"demo": installed_plugins().sources["demo"]}).shelf().model(str(reference))
    return str(caught.value)


def written(root: Path, **texts: str) -> Path:
    """Files beside a model, `__` in their names for the folder and `_` before the ending."""
    for word, text in texts.items():
        folder, _, name = word.rpartition("__")
        path = root / folder / ".".join(name.rsplit("_", 1))
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def sharded(tmp_path):
    """Write a model of several files: `sharded({"one.safetensors": ["a", "b"]}, index=...)`."""

    def write(shards: dict[str, list[str]], index: dict[str, object] | None = None) -> Path:
        root = tmp_path / "sharded"
        root.mkdir()
        for file, names in shards.items():
            save_file({name: torch.ones(1) for name in names}, root / file)
        whole = {name: file for file, names in shards.items() for name in names}
        (root / INDEX).write_text(json.dumps({"weight_map": whole if index is None else index}))
        return root

    return write


# -- where weights are -----------------------------------------------------------------------


def test_a_directory_is_opened_with_config_and_side_files(checkpoint):
    root = written(checkpoint("a", w=[1], config={"n_layer": 1}), tokenizer_json="{}")
    found = open_checkpoint(str(root))
    assert list(found.entries) == ["w"]
    assert found.config == {"n_layer": 1}
    assert found.side_files == ("tokenizer.json",)


def test_a_file_is_a_model_without_config(checkpoint):
    root = written(checkpoint("a", w=[1], config={"n_layer": 1}), tokenizer_json="{}")
    found = open_checkpoint(str(root / "model.safetensors"))
    assert (list(found.entries), found.config, found.side_files) == (["w"], {}, ())


def test_the_only_weights_may_have_any_name(checkpoint):
    root = checkpoint("a", w=[1])
    (root / "model.safetensors").rename(root / "consolidated.safetensors")
    assert list(open_checkpoint(str(root)).headers) == ["consolidated.safetensors"]


def test_several_weights_without_index_are_refused(checkpoint):
    root = checkpoint("a", w=[1])
    for name in ("x.safetensors", "y.safetensors"):
        (root / name).write_bytes((root / "model.safetensors").read_bytes())
    (root / "model.safetensors").unlink()
    assert "several weight files (x.safetensors, y.safetensors) and no " in refusal(root)


def test_a_directory_without_weights_is_refused(tmp_path):
    assert refusal(tmp_path) == (
        f"{tmp_path}: holds no weights (.safetensors, .bin, .pt, .pth, .ckpt)"
    )


@pytest.mark.parametrize("name", ["flax_model.msgpack", "tf_model.h5"])
def test_weights_in_other_formats_are_refused_with_the_remedy(tmp_path, name):
    (tmp_path / name).touch()
    assert refusal(tmp_path).endswith("; weights in other formats are not read, save them as "
                                      "safetensors first")  # fmt: skip


def test_weights_in_folders_are_pointed_at(checkpoint, tmp_path):
    checkpoint("pipe/unet", w=[1])
    checkpoint("pipe/vae", w=[1])
    assert refusal(tmp_path / "pipe").endswith("; did you mean its folder unet or vae?")


def test_weights_without_tensors_are_refused(checkpoint):
    root = checkpoint("a")
    assert refusal(root) == f"{root}: holds no tensors"


def test_other_files_are_no_models(tmp_path):
    path = tmp_path / "model.txt"
    path.touch()
    assert refusal(path).startswith(f"{path}: neither a directory nor a file of weights (.safe")


def test_a_directory_in_place_of_weights_is_refused(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    assert refusal(tmp_path) == f"{tmp_path}/model.safetensors: cannot be read: not a file"


def test_a_pipe_in_place_of_weights_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    assert "cannot be read: not a file" in refusal(tmp_path)


# -- sharded weights ---------------------------------------------------------------------------


def test_shards_are_joined_by_their_index(sharded):
    root = sharded({"one.safetensors": ["a", "b"], "two.safetensors": ["c"]})
    found = open_checkpoint(str(root))
    assert {name: entry.path.name for name, entry in found.entries.items()} == {
        "a": "one.safetensors",
        "b": "one.safetensors",
        "c": "two.safetensors",
    }


def test_a_missing_shard_is_named(sharded):
    root = sharded({"one.safetensors": ["a"]}, {"a": "one.safetensors", "b": "two.safetensors"})
    assert refusal(root) == (
        f"{root}/{INDEX}: names two.safetensors: not there; is the download complete?"
    )


def test_many_missing_shards_are_counted(sharded):
    root = sharded({}, {f"w{i}": f"{i}.safetensors" for i in range(7)})
    assert "names 0.safetensors, 1.safetensors, 2.safetensors and 4 more" in refusal(root)


@pytest.mark.parametrize(
    "file",
    ["../one.safetensors", "/one.safetensors", "a/b.safetensors", ".", "..", "", "a\0b", None, 1],
)
def test_shards_that_are_not_beside_their_index_are_refused(sharded, file):
    root = sharded({"one.safetensors": ["a"]}, {"a": file})
    assert f"a is said to be in {file!r}, not a file beside it" in refusal(root)


def test_a_tensor_in_two_files_is_refused(sharded):
    root = sharded({"one.safetensors": ["a", "b"], "two.safetensors": ["a"]},
                   {"b": "one.safetensors", "a": "two.safetensors"})  # fmt: skip
    assert refusal(root) == f"{root}/two.safetensors: a is in another file, too"


def test_a_tensor_that_its_shard_does_not_hold_is_refused(sharded):
    root = sharded({"one.safetensors": ["a"]}, {"a": "one.safetensors", "b": "one.safetensors"})
    assert refusal(root) == f"{root}/{INDEX}: one.safetensors does not hold b"


def test_a_tensor_that_the_index_does_not_name_is_refused(sharded):
    root = sharded({"one.safetensors": ["a", "b"]}, {"a": "one.safetensors"})
    assert refusal(root) == f"{root}/{INDEX}: does not name b, which is in the files"


def test_a_whole_file_beside_an_index_that_does_not_name_it_is_refused(sharded):
    """Tools disagree on which of the two to read; one is left from an earlier save."""
    root = sharded({"one.safetensors": ["a"]})
    save_file({"a": torch.zeros(1)}, root / "model.safetensors")
    assert "does not name model.safetensors; delete whichever is out of date" in refusal(root)


@pytest.mark.parametrize("text", ["{}", '{"weight_map": {}}', '{"weight_map": ["a"]}'])
def test_an_index_without_weight_map_is_refused(sharded, text):
    root = sharded({"one.safetensors": ["a"]})
    (root / INDEX).write_text(text)
    assert refusal(root) == f"{root}/{INDEX}: has no weight_map"


# -- side files ------------------------------------------------------------------------------


def test_everything_that_is_not_weights_goes_with_the_model(checkpoint):
    root = written(
        checkpoint("a", w=[1]),
        chat_template_jinja="{}",
        generation_config_json="{}",
        tokenizer_config_json="{}",
        tokenizer_model="x",
        merges_txt="x",
        modules_json="[]",
        modeling_custom_py="x",
        **{"1_Pooling__config_json": "{}"},
    )
    (root / "LICENSE").write_text("free")
    assert open_checkpoint(str(root)).side_files == (
        "1_Pooling/config.json",
        "LICENSE",
        "chat_template.jinja",
        "generation_config.json",
        "merges.txt",
        "modeling_custom.py",
        "modules.json",
        "tokenizer.model",
        "tokenizer_config.json",
    )


def test_code_of_a_model_is_copied_and_told(checkpoint):
    root = written(checkpoint("a", w=[1]), modeling_odd_py="x")
    found = open_checkpoint(str(root))
    assert found.side_files == ("modeling_odd.py",)
    assert found.notes == (f"{root}: its code is copied, and not run: modeling_odd.py",)


def test_weights_pickles_and_hidden_files_stay_behind(checkpoint):
    root = written(
        checkpoint("a", w=[1]),
        pytorch_model_bin="x",
        optimizer_PT="x",
        weights_gguf="x",
        training_args_pkl="x",
        **{"pytorch_model.bin.index_json": "{}", ".git__config_x": "x", ".gitattributes_x": "x"},
    )
    (root / "scaler.dat").write_bytes(b"\x80\x04\x95pickled")
    torch.save({"w": 1}, root / "state.dict")
    assert open_checkpoint(str(root)).side_files == ()


def test_what_is_written_anew_is_not_copied(checkpoint):
    root = written(
        checkpoint("a", w=[1]),
        README_md="x",
        mergegraph_json="{}",
        mergekit_config_yml="x",
        **{"1_Pooling__config_json": "{}", "1_Pooling__README_md": "x"},
    )
    assert open_checkpoint(str(root)).side_files == ("1_Pooling/README.md", "1_Pooling/config.json")


def test_a_folder_with_weights_is_another_model(checkpoint):
    root = checkpoint("a", w=[1])
    checkpoint("a/checkpoint-500", w=[1])
    found = open_checkpoint(str(root))
    assert found.side_files == ()
    assert found.notes == (f"{root}/checkpoint-500: not copied, it has weights of its own",)


def test_a_link_out_of_the_model_is_not_followed(checkpoint, tmp_path):
    root = checkpoint("a", w=[1])
    (tmp_path / "secret").write_text("x")
    (root / "tokenizer.json").symlink_to("../secret")
    found = open_checkpoint(str(root))
    assert found.side_files == ()
    assert found.notes == (
        f"{root}/tokenizer.json: not copied, it is a link that leads out of the model",
    )


def test_a_linked_folder_is_not_followed(checkpoint, tmp_path):
    root = checkpoint("a", w=[1])
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secret").write_text("x")
    (root / "assets").symlink_to(tmp_path / "home")
    found = open_checkpoint(str(root))
    assert found.side_files == ()
    assert found.notes == (f"{root}/assets: not copied, it is a link to a folder",)


def test_links_inside_the_model_and_to_the_model_are_followed(checkpoint, tmp_path):
    root = written(checkpoint("a", w=[1]), vocab_txt="x")
    (root / "vocabulary.txt").symlink_to("vocab.txt")
    (tmp_path / "link").symlink_to(root)
    found = open_checkpoint(str(tmp_path / "link"))
    assert found.side_files == ("vocab.txt", "vocabulary.txt")


def test_broken_links_and_circles_are_left_out(checkpoint):
    root = checkpoint("a", w=[1])
    (root / "gone.txt").symlink_to("nowhere")
    (root / "self.txt").symlink_to("self.txt")
    (root / "loop").symlink_to(".")
    assert open_checkpoint(str(root)).side_files == ()


def test_a_config_that_is_a_link_out_of_the_model_is_refused(checkpoint, tmp_path):
    """Its text would be written into the result."""
    root = checkpoint("a", w=[1])
    (tmp_path / "secret.json").write_text('{"auths": {}}')
    (root / "config.json").unlink()
    (root / "config.json").symlink_to("../secret.json")
    assert "a link that leads out of the model; put a copy there" in refusal(root)


def test_a_config_that_is_a_link_to_itself_is_refused(checkpoint):
    root = checkpoint("a", w=[1])
    (root / "config.json").unlink()
    (root / "config.json").symlink_to("config.json")
    assert "a link that leads out of the model" in refusal(root)


@pytest.fixture
def snapshot(tmp_path):
    """A model as the Hub's cache has it: links to files named by their digests."""
    repository = tmp_path / "models--org--name"
    blobs, root = repository / "blobs", repository / "snapshots" / "0123abc"
    blobs.mkdir(parents=True)
    (root / "1_Pooling").mkdir(parents=True)
    save_file({"w": torch.ones(1)}, blobs / "aaa")
    for blob, name in [("bbb", "config.json"), ("ccc", "1_Pooling/config.json")]:
        (blobs / blob).write_text('{"n_layer": 1}')
        (root / name).symlink_to(os.path.relpath(blobs / blob, (root / name).parent))
    (root / "model.safetensors").symlink_to("../../blobs/aaa")
    return root


def test_a_snapshot_of_the_hub_is_opened_through_its_links(snapshot):
    found = open_checkpoint(str(snapshot))
    assert list(found.entries) == ["w"]
    assert found.config == {"n_layer": 1}
    assert found.side_files == ("1_Pooling/config.json",)
    assert found.notes == ()


def test_a_snapshot_of_the_hub_may_not_reach_for_other_repositories(snapshot, tmp_path):
    other = tmp_path / "models--org--private" / "blobs"
    other.mkdir(parents=True)
    (other / "ddd").write_text("x")
    (snapshot / "notes.txt").symlink_to("../../../models--org--private/blobs/ddd")
    assert "notes.txt" not in open_checkpoint(str(snapshot)).side_files


# -- what cannot be merged yet -----------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"quantization_config": {"quant_method": "gptq", "bits": 4}},
        {"text_config": {"quantization_config": {"quant_method": "gptq"}}},
        {"compression_config": {"quant_method": "gptq"}},
    ],
)
def test_quantised_models_are_refused(checkpoint, config):
    root = checkpoint("a", w=[1], config=config)
    assert refusal(root) == (
        f"{root}: its weights are quantised (gptq), and no codec decodes them (installed: none); "
        "name the model it was made from, or dequantise it first"
    )


def test_a_config_that_says_nothing_of_quantisation_is_fine(checkpoint):
    root = checkpoint("a", w=[1], config={"quantization_config": None, "x": {"quantization": {}}})
    assert open_checkpoint(str(root)).entries


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.mlp.up_proj.qweight",
        "model.layers.0.mlp.up_proj.weight_scale_inv",
        "model.layers.0.mlp.up_proj.weight_packed",
        "model.layers.0.mlp.up_proj.weight.quant_state.bitsandbytes__nf4",
        "model.layers.0.mlp.experts.gate_up_proj_blocks",
        "scaled_fp8",
        "double_blocks.0.img_attn.qkv.scale_weight",
    ],
)
def test_quantised_weights_are_known_by_their_names(checkpoint, name):
    root = checkpoint("a", {name: [1]})
    assert f"{name} belongs to quantised weights, and no codec knows" in refusal(
        root / "model.safetensors"
    )


@pytest.mark.parametrize("file", ["", "model.gguf"])
def test_gguf_is_refused(tmp_path, file):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.gguf").touch()
    told = refusal(tmp_path / "m" / file)
    assert told.startswith(f"{tmp_path / 'm' / 'model.gguf'}: GGUF is not read, ")


def test_adapters_are_refused(checkpoint):
    root = written(checkpoint("a", {"lora_A.weight": [1]}), adapter_config_json="{}")
    (root / "model.safetensors").rename(root / "adapter_model.safetensors")
    assert refusal(root) == (
        f"{root}: an adapter (adapter_config.json), not a model; name it as model+adapter, "
        "or merge adapters with adapters only"
    )


@pytest.mark.parametrize(
    ("reference", "fact"),
    [
        ("base+adapter", "base: no such directory, file or stage"),
        ("org/name@main+org/adapter", "org/name@main: no such directory, file or stage"),
        ("base+one+two", "names more than one adapter"),
        ("s3://bucket/name", "no source for 's3:' is installed; known: demo"),
    ],
)
def test_references_that_are_not_supported_yet_say_so(reference, fact):
    assert fact in refusal(reference)


@pytest.mark.parametrize("name", ["a+b", "a@b"])
def test_a_directory_that_exists_may_have_any_name(checkpoint, name):
    assert open_checkpoint(str(checkpoint(name, w=[1]))).entries


# -- what is not there -------------------------------------------------------------------------


def test_a_misspelt_path_comes_with_the_nearest_one(checkpoint, tmp_path, monkeypatch):
    checkpoint("models/mistral-base", w=[1])
    monkeypatch.chdir(tmp_path)
    assert refusal("models/mistral-bose") == (
        "models/mistral-bose: no such directory, file or stage; did you mean 'models/mistral-base'?"
    )
    assert refusal("./models/mistral-bose").endswith("; did you mean 'models/mistral-base'?")


def test_a_path_like_no_other_is_only_said_not_to_exist(checkpoint, tmp_path, monkeypatch):
    checkpoint("models/base", w=[1])
    monkeypatch.chdir(tmp_path)
    for reference in ("models/zzzzzz", "zzzzzz"):
        assert refusal(reference) == f"{reference}: no such directory, file or stage"


@pytest.mark.parametrize("reference", ["a" * 5000, "a\0b", "~nobody-of-this-name/x", " ", "/x/y"])
def test_references_that_no_file_system_takes_are_refused(reference):
    assert refusal(reference)


def test_a_demo_model_that_does_not_exist_is_refused():
    assert refusal("demo:nothing").startswith("demo:nothing: not in the demo family")


@pytest.mark.parametrize(
    ("open_it", "fact"),
    [
        (lambda rest: 1 / 0, "source src failed: ZeroDivisionError: division by zero"),
        (lambda rest: sys.exit(3), "source src failed: SystemExit: 3"),
        (lambda rest: None, "source src gave NoneType, which is no Tree: it has no label"),
        (Path, "source src gave PosixPath, which is no Tree: it has no label"),
    ],
)
def test_a_source_that_fails_is_named(open_it, fact):
    with pytest.raises(MergeGraphError, match=f"^src:m: {fact}$"):
        Library({"src": Source("src", open_it)}).checkpoint("src:m")


# -- JSON --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "nan!", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_a_config_that_is_not_json_is_refused(checkpoint, text):
    root = written(checkpoint("a", w=[1]), config_json=text)
    assert refusal(root).startswith(f"{root}/config.json: not JSON: ")


def test_a_config_in_another_encoding_is_refused(checkpoint):
    root = checkpoint("a", w=[1])
    (root / "config.json").write_bytes('{"a": "é"}'.encode("latin-1"))
    assert "config.json: not JSON: " in refusal(root)


def test_a_config_that_is_not_an_object_is_refused(checkpoint):
    root = written(checkpoint("a", w=[1]), config_json="[]")
    assert refusal(root) == f"{root}/config.json: not a JSON object"


def test_a_config_as_deep_as_a_well_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a":' * 400 + "1" + "}" * 400)
    with pytest.raises(MergeGraphError, match="nested too deeply"):
        read_json(path)


def test_a_model_without_config_is_a_model(checkpoint):
    root = checkpoint("a", w=[1])
    (root / "config.json").unlink()
    assert open_checkpoint(str(root)).config == {}
