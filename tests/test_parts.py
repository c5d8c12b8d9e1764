"""Models of several folders: which folders are theirs, and what becomes of each."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file, save_file

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.files.checkpoint import checkpoint_of
from mergegraph.files.trees import LocalTree
from mergegraph.trust.verification import verify
from mergegraph.writing.result import Result
from mergegraph.writing.writer import Writer

PIPELINE = {
    "_class_name": "P",
    "scheduler": ["diffusers", "S"],
    "unet": ["diffusers", "U"],
    "text_encoder": ["transformers", "T"],
    "safety_checker": [None, None],
}


@dataclass(frozen=True)
class FarTree(LocalTree):
    """A directory that is listed as a repository is: all files at once."""

    is_local: bool = False

    def names(self):
        files = (each for each in self.root.rglob("*") if each.is_file())
        return tuple(sorted(each.relative_to(self.root).as_posix() for each in files))


def written(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


@pytest.fixture
def pipeline(tmp_path):
    """Write a pipeline of two parts with weights, every entry the same number."""

    def write(name, number, **index):
        root = tmp_path / name
        written(root / "model_index.json", {**PIPELINE, **index})
        written(root / "scheduler" / "scheduler_config.json", {"steps": 9})
        written(root / "unet" / "config.json", {"_class_name": "U"})
        written(root / "text_encoder" / "config.json", {"model_type": "t", "dtype": "float32"})
        unet = {"down.0.w": torch.full((3, 2), number), "down.1.w": torch.full((3, 2), number)}
        save_file(unet, root / "unet" / "diffusion_pytorch_model.safetensors")
        torch.save(
            {"shared.weight": torch.full((4, 2), number)}, root / "text_encoder/pytorch_model.bin"
        )
        return root

    return write


def opened(root):
    return checkpoint_of("a", LocalTree(root, str(root)))


def refusal(root):
    with pytest.raises(MergeGraphError) as caught:
        opened(root)
    return str(caught.value)


RECIPE = """
merge_method: linear
models:
- {{model: {root}/a, parameters: {{weight: {weight}}}}}
- {{model: {root}/b, parameters: {{weight: 1}}}}
"""


def merged(tmp_path, text, **how):
    (tmp_path / "r.yaml").write_text(text.format(root=tmp_path, weight=how.pop("weight", 1)))
    mergegraph.run(tmp_path / "r.yaml", out=tmp_path / "out", **how)
    return tmp_path / "out"


# -- which folders -----------------------------------------------------------------------------


def test_tensors_begin_with_the_folder_of_their_part(pipeline):
    found = opened(pipeline("a", 1.0))
    assert list(found.entries) == ["unet/down.0.w", "unet/down.1.w", "text_encoder/shared.weight"]
    assert found.stems == {"unet/": "diffusion_pytorch_model", "text_encoder/": "model"}
    assert found.side_files == ("model_index.json", "scheduler/scheduler_config.json")


def test_a_pipeline_far_away_is_the_same(pipeline):
    root = pipeline("a", 1.0)
    near, far = opened(root), checkpoint_of("a", FarTree(root, "far"))
    assert list(far.entries) == list(near.entries)
    assert (far.config, far.side_files, far.stems) == (near.config, near.side_files, near.stems)


def test_weights_that_no_part_speaks_of_are_told(pipeline):
    root = pipeline("a", 1.0)
    save_file({"w": torch.ones(1)}, root / "all.safetensors")
    (root / "lora").mkdir()
    save_file({"w": torch.ones(1)}, root / "lora" / "x.safetensors")
    found = opened(root)
    assert found.notes == (f"{root}/lora: not copied, it has weights of its own",)
    assert found.remarks == (
        f"{root}/all.safetensors: not read, the weights are those of its folders",
    )


def test_a_part_whose_weights_are_elsewhere_is_refused(pipeline):
    root = pipeline("a", 1.0)
    for each in ("unet/diffusion_pytorch_model.safetensors", "text_encoder/pytorch_model.bin"):
        (root / each).unlink()
    assert refusal(root).endswith("names no folder with weights; is the download complete?")


@pytest.mark.parametrize("name", ["../b", "/etc", "~", "a/../../b", "c:x", "a\\b", "\n"])
def test_folders_outside_the_model_are_refused(pipeline, name):
    root = pipeline("a", 1.0, **{name: ["diffusers", "U"]})
    assert "is not a folder inside the model" in refusal(root)


def test_a_part_that_is_a_link_out_of_the_model_is_refused(pipeline):
    root, other = pipeline("a", 1.0), pipeline("b", 1.0)
    (root / "vae").symlink_to(other / "unet")
    written(root / "model_index.json", {**PIPELINE, "vae": ["diffusers", "V"]})
    assert "vae: a link that leads out of the model; put a copy there" in refusal(root)


def test_modules_of_sentence_encoders_are_parts(tmp_path):
    listed = [{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"}]
    written(tmp_path / "modules.json", listed)
    written(tmp_path / "config.json", {"vocab_size": 1})
    written(tmp_path / "1_Pooling" / "config.json", {"mode": "mean"})
    written(tmp_path / "2_Dense" / "config.json", {"in_features": 2})
    save_file({"w": torch.ones(1)}, tmp_path / "model.safetensors")
    save_file({"linear.weight": torch.ones(1)}, tmp_path / "2_Dense" / "model.safetensors")
    found = opened(tmp_path)
    assert list(found.entries) == ["w", "2_Dense/linear.weight"]
    assert found.config == {"vocab_size": 1, "2_Dense/": {"in_features": 2}}
    assert found.side_files == ("1_Pooling/config.json", "modules.json")


def test_the_modules_that_a_router_chooses_among_are_parts(tmp_path):
    written(tmp_path / "modules.json", [{"path": ""}])
    written(tmp_path / "router_config.json", {"types": {"query_0_S": "x.S", "document_0_T": "y.T"}})
    for name in ("query_0_S", "document_0_T"):
        (tmp_path / name).mkdir()
        save_file({"w": torch.ones(1)}, tmp_path / name / "model.safetensors")
    assert list(opened(tmp_path).entries) == ["query_0_S/w", "document_0_T/w"]


@pytest.mark.parametrize("text", ["{}", "[1]", "[{}]", '[{"path": "../x"}]', "["])
def test_a_list_of_modules_that_is_none_is_refused(tmp_path, text):
    written(tmp_path / "modules.json", text)
    assert refusal(tmp_path).startswith(f"{tmp_path}/modules.json: ")


# -- merging -----------------------------------------------------------------------------------


def test_every_part_is_merged_and_keeps_its_place(pipeline, tmp_path):
    pipeline("a", 1.0), pipeline("b", 3.0)
    out = merged(tmp_path, RECIPE + "dtype: bfloat16\n")
    unet = load_file(out / "unet" / "diffusion_pytorch_model.safetensors")
    assert {name: each.unique().tolist() for name, each in unet.items()} == {
        "down.0.w": [2.0],
        "down.1.w": [2.0],
    }
    assert list(load_file(out / "text_encoder" / "model.safetensors")) == ["shared.weight"]
    assert json.loads((out / "text_encoder" / "config.json").read_text())["dtype"] == "bfloat16"
    assert json.loads((out / "unet" / "config.json").read_text()) == {"_class_name": "U"}
    assert (out / "scheduler" / "scheduler_config.json").is_file()
    assert not (out / "config.json").exists()
    assert verify(out).differences == ()


def test_large_parts_are_cut_with_an_index_each(pipeline, tmp_path):
    pipeline("a", 1.0), pipeline("b", 3.0)
    unet = merged(tmp_path, RECIPE, shard_size=24) / "unet"
    index = json.loads((unet / "diffusion_pytorch_model.safetensors.index.json").read_text())
    assert index["weight_map"] == {
        "down.0.w": "diffusion_pytorch_model-00001-of-00002.safetensors",
        "down.1.w": "diffusion_pytorch_model-00002-of-00002.safetensors",
    }
    assert opened(tmp_path / "out").entries.keys() == opened(tmp_path / "a").entries.keys()


def test_a_module_of_a_recipe_may_be_a_part(pipeline, tmp_path):
    pipeline("a", 1.0), pipeline("b", 3.0)
    text = "merge_method: linear\nbase_model: {root}/b\nmodules:\n  unet:\n    models:\n"
    text += "    - {{model: {root}/a, parameters: {{weight: 1}}}}\n"
    text += "    - {{model: {root}/b, parameters: {{weight: 1}}}}\n"
    out = merged(tmp_path, text)
    assert load_file(out / "unet/diffusion_pytorch_model.safetensors")["down.0.w"].max() == 2
    assert load_file(out / "text_encoder/model.safetensors")["shared.weight"].max() == 3


def test_gradients_go_over_the_layers_of_a_part(pipeline, tmp_path):
    pipeline("a", 1.0), pipeline("b", 3.0)
    out = merged(tmp_path, RECIPE, weight="[1, 0]")
    unet = load_file(out / "unet" / "diffusion_pytorch_model.safetensors")
    assert [unet[f"down.{i}.w"].max().item() for i in (0, 1)] == [2.0, 3.0]


def test_slashes_in_names_of_tensors_are_no_folders(tmp_path):
    for name, number in (("a", 1.0), ("b", 3.0)):
        (tmp_path / name).mkdir()
        tensors = {"../up/w": torch.full((2,), number), "in/w": torch.full((2,), number)}
        save_file(tensors, tmp_path / name / "model.safetensors")
    out = merged(tmp_path, RECIPE)
    assert sorted(load_file(out / "model.safetensors")) == ["../up/w", "in/w"]
    assert not (tmp_path / "up").exists()


def test_a_part_in_a_format_that_is_not_read_is_refused(pipeline):
    root = pipeline("a", 1.0)
    (root / "unet/diffusion_pytorch_model.safetensors").rename(root / "unet/flax_model.msgpack")
    told = refusal(root)
    assert told.startswith(f"{root}/unet: holds no weights (.safetensors, ")
    assert told.endswith("; weights in other formats are not read, save them as safetensors first")


def test_an_interrupted_result_of_parts_is_continued(pipeline, tmp_path):
    pipeline("a", 1.0), pipeline("b", 3.0)
    (tmp_path / "r.yaml").write_text(RECIPE.format(root=tmp_path, weight=1))
    prepared = mergegraph.plan(tmp_path / "r.yaml", out=tmp_path / "out")
    (directory,) = prepared.plan.directories
    with Writer() as writer:
        result = Result(
            directory, prepared.layouts[directory.path], prepared.found[directory.path], writer
        )
        result.open()
        result.close()
    mergegraph.run(tmp_path / "r.yaml", out=tmp_path / "out")
    assert verify(tmp_path / "out").differences == ()


def test_a_config_cannot_name_folders_to_write_to(tmp_path):
    save_file({"w": torch.ones(1)}, tmp_path / "model.safetensors")
    written(tmp_path / "config.json", {"../up/": {"x": 1}})
    assert "its key '../up/' ends as a folder does" in refusal(tmp_path)


def test_parts_may_lie_in_folders_of_folders(tmp_path):
    for name in ("a", "b"):
        written(tmp_path / name / "modules.json", [{"path": "x/y"}])
        (tmp_path / name / "x" / "y").mkdir(parents=True)
        save_file({"w": torch.ones(2)}, tmp_path / name / "x" / "y" / "model.safetensors")
    out = merged(tmp_path, RECIPE)
    assert load_file(out / "x" / "y" / "model.safetensors")["w"].tolist() == [1, 1]


def test_a_changed_part_is_found_by_its_name(pipeline, tmp_path):
    pipeline("a", 1.0), pipeline("b", 3.0)
    out = merged(tmp_path, RECIPE, shard_size=24)
    file = out / "unet" / "diffusion_pytorch_model-00001-of-00002.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    (out / "unet" / "diffusion_pytorch_model.safetensors.index.json").unlink()
    told = verify(out).differences
    assert "unet/down.0.w: its bytes differ" in told
    assert any(
        each.startswith("unet/") and "missing, and the tensors are in 2" in each for each in told
    )
