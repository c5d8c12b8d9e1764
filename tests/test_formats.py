"""Models in the formats that people have: files of torch, single files, pipelines, encoders."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import mergegraph
from mergegraph import MergeGraphError

PYTORCH = """
merge_method: linear
models:
  - model: {root}/a.{kind}
    parameters:
      weight: 0.25
  - model: {root}/b.{kind}
    parameters:
      weight: 0.75
dtype: float32
"""


@pytest.fixture
def merged(tmp_path):
    """Run a recipe; gives the tensors of the result and the notes of the plan."""

    def run(text, **names):
        (tmp_path / "recipe.yaml").write_text(text.format(root=tmp_path, **names))
        planned = mergegraph.plan(tmp_path / "recipe.yaml", out=tmp_path / "out")
        mergegraph.run(tmp_path / "recipe.yaml", out=tmp_path / "out", restart=True)
        return load_file(tmp_path / "out" / "model.safetensors"), planned.notes

    return run


def states(seed):
    random = torch.Generator().manual_seed(seed)
    return {
        "conv.weight": torch.rand(4, 3, 2, 2, generator=random),
        "norm.running_mean": torch.rand(4, generator=random),
        "norm.num_batches_tracked": torch.tensor(7),
    }


def both(tmp_path, kind, first, second):
    for name, each in (("a", first), ("b", second)):
        if kind == "safetensors":
            save_file(each, tmp_path / f"{name}.{kind}")
        else:
            torch.save(each, tmp_path / f"{name}.{kind}")


# -- state dicts in files ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["safetensors", "bin", "pt", "pth", "ckpt"])
def test_recipes_of_mergekit_pytorch_run_unchanged(tmp_path, merged, kind):
    first, second = states(1), states(2)
    both(tmp_path, kind, first, second)
    found, _ = merged(PYTORCH, kind=kind)
    assert found["norm.num_batches_tracked"] == 7
    for name in ("conv.weight", "norm.running_mean"):
        torch.testing.assert_close(found[name], 0.25 * first[name] + 0.75 * second[name])


@pytest.mark.parametrize(
    ("policy", "names"),
    [("skip", ["both", "only_a", "only_b"]), ("drop", ["both"])],
)
def test_tensors_that_not_all_have_are_united_or_cut(tmp_path, merged, policy, names):
    first, second = {"both": torch.zeros(2), "only_a": torch.ones(2)}, {"both": torch.ones(2)}
    both(tmp_path, "pt", first, {**second, "only_b": torch.ones(2)})
    with pytest.raises(MergeGraphError, match="set on_missing to skip, base or drop"):
        merged(PYTORCH, kind="pt")
    found, notes = merged(f"on_missing: {policy}\n" + PYTORCH, kind="pt")
    assert sorted(found) == names
    assert found["both"].tolist() == [0.75, 0.75]
    fate = {"skip": "merged without", "drop": "left out, not in"}[policy]
    assert f"only_b: {fate} {tmp_path}/a.pt" in notes


def test_what_a_training_saved_beside_its_model_is_told(tmp_path, merged):
    both(tmp_path, "ckpt", *({"state_dict": states(i), "epoch": i} for i in (1, 2)))
    found, notes = merged(PYTORCH, kind="ckpt")
    assert set(found) == set(states(1))
    assert f"{tmp_path}/a.ckpt: not merged, not tensors of the state dict: epoch" in notes
    assert f"{tmp_path}/b.ckpt: the state dict is its 'state_dict'" in notes


def test_a_turned_tensor_is_merged_as_it_is_meant(tmp_path, merged):
    """Large enough to be cut into strips, with axes that the file has in another order."""
    first, second = torch.rand(300, 700), torch.rand(700, 300).t()
    both(tmp_path, "pt", {"w": first}, {"w": second})
    found, _ = merged(PYTORCH, kind="pt")
    torch.testing.assert_close(found["w"], 0.25 * first + 0.75 * second)


def test_shards_of_pickles_come_to_the_same_as_safetensors(tmp_path, merged):
    weights = [states(1), states(2)]
    for name, state in zip("ab", weights, strict=True):
        root = tmp_path / f"{name}.dir"
        root.mkdir()
        files = {each: f"pytorch_model-{i:05d}-of-00003.bin" for i, each in enumerate(state)}
        for each, file in files.items():
            torch.save({each: state[each]}, root / file)
        index = {"metadata": {}, "weight_map": files}
        (root / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    sharded, _ = merged(PYTORCH, kind="dir")
    both(tmp_path, "safetensors", *weights)
    whole, _ = merged(PYTORCH, kind="safetensors")
    assert sharded.keys() == whole.keys()
    assert all(torch.equal(sharded[name], whole[name]) for name in whole)


def test_a_refused_file_leaves_no_directory(tmp_path, merged):
    both(tmp_path, "pt", {"m": torch.nn.Linear(1, 1)}, states(2))
    with pytest.raises(MergeGraphError, match=r"a\.pt: holds more than tensors"):
        merged(PYTORCH, kind="pt")
    assert not (tmp_path / "out").exists()


# -- single files of image models ----------------------------------------------------------------


def test_the_words_of_a_header_are_kept_but_for_hashes(tmp_path, merged):
    words = {"modelspec.architecture": "stable-diffusion-xl-v1-base", "sshs_model_hash": "0a"}
    for name in "ab":
        save_file({"w": torch.ones(1)}, tmp_path / f"{name}.safetensors", metadata=words)
    merged(PYTORCH, kind="safetensors")
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        assert file.metadata() == {
            "format": "pt",
            "modelspec.architecture": "stable-diffusion-xl-v1-base",
        }


@pytest.mark.parametrize(
    "stack", ["model.diffusion_model.input_blocks", "double_blocks", "model.diffusion_model.single"]
)
def test_layers_of_single_files_are_found_by_their_names(tmp_path, merged, stack):
    names = [f"{stack}.{i}.1.transformer_blocks.0.attn1.to_q.weight" for i in range(3)]
    both(
        tmp_path,
        "safetensors",
        {name: torch.zeros(2, 2, dtype=torch.float16) for name in names},
        {name: torch.ones(2, 2, dtype=torch.float16) for name in names},
    )
    text = PYTORCH.replace("weight: 0.75", "weight: [0, 0.75]").replace("0.25", "0.75")
    found, _ = merged(text, kind="safetensors")
    assert [round(found[name].max().item(), 3) for name in names] == [0.0, 0.333, 0.5]


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_plain_float8_is_merged_as_the_numbers_it_is(tmp_path, merged, dtype):
    first, second = (torch.tensor(each).to(dtype) for each in ([1.0, -2.0], [3.0, 6.0]))
    both(tmp_path, "safetensors", {"w": first}, {"w": second})
    found, _ = merged(PYTORCH.replace("dtype: float32\n", ""), kind="safetensors")
    assert found["w"].dtype == dtype
    assert found["w"].float().tolist() == [2.5, 4.0]


# -- loaders -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_of_diffusers_loads_and_runs(tmp_path, monkeypatch):
    diffusers = pytest.importorskip("diffusers")

    def pipeline(seed):
        torch.manual_seed(seed)
        unet = diffusers.UNet2DModel(
            sample_size=8, block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2,
            down_block_types=("DownBlock2D", "DownBlock2D"), attention_head_dim=2,
            up_block_types=("UpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        return diffusers.DDIMPipeline(unet, diffusers.DDIMScheduler())

    pipelines = [pipeline(1), pipeline(2)]
    pipelines[0].save_pretrained(tmp_path / "a.dir", safe_serialization=False)
    pipelines[1].save_pretrained(tmp_path / "b.dir", max_shard_size="8KB")
    (tmp_path / "recipe.yaml").write_text(PYTORCH.format(root=tmp_path, kind="dir"))
    mergegraph.run(tmp_path / "recipe.yaml", out=tmp_path / "out", shard_size="10KB")
    result = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "out")
    first, second = (each.unet.state_dict() for each in pipelines)
    found = result.unet.state_dict()
    assert found.keys() == first.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, 0.25 * first[name] + 0.75 * second[name])
    result.set_progress_bar_config(disable=True)
    assert len(result(num_inference_steps=1, output_type="np").images) == 1


@pytest.mark.filterwarnings("ignore")
def test_a_sentence_encoder_encodes_as_the_same_arithmetic_in_memory(tmp_path):
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers import models
    from transformers import BertConfig, BertModel, BertTokenizer

    words = tmp_path / "words"
    words.mkdir()
    (words / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\n")
    config = BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8
    )

    def encoder(seed):
        torch.manual_seed(seed)
        BertTokenizer(str(words / "vocab.txt")).save_pretrained(words)
        BertModel(config).save_pretrained(words)
        made = (
            models.Transformer(str(words)),
            models.Pooling(8, "max"),
            models.Dense(8, 4),
        )
        return library.SentenceTransformer(modules=made, device="cpu")

    first, second = encoder(1), encoder(2)
    first.save(str(tmp_path / "a.dir"))
    second.save(str(tmp_path / "b.dir"), safe_serialization=False)
    (tmp_path / "recipe.yaml").write_text(PYTORCH.format(root=tmp_path, kind="dir"))
    mergegraph.run(tmp_path / "recipe.yaml", out=tmp_path / "out")
    result = library.SentenceTransformer(str(tmp_path / "out"), device="cpu")
    others = second.state_dict()
    first.load_state_dict({
        name: 0.25 * value + 0.75 * others[name] if value.is_floating_point() else value
        for name, value in first.state_dict().items()
    })  # fmt: skip
    texts = ["hello world", "world"]
    expected, found = (torch.tensor(each.encode(texts)) for each in (first, result))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
