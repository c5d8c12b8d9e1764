"""Which files are the weights of a folder."""

import pytest

from mergegraph import MergeGraphError
from mergegraph.files.weights import weights_among

FP16 = "diffusion_pytorch_model.fp16"


@pytest.mark.parametrize(
    ("names", "file", "stem"),
    [
        (["model.safetensors", "pytorch_model.bin"], "model.safetensors", "model"),
        (["consolidated.safetensors", "model.safetensors"], "model.safetensors", "model"),
        (["model.fp16.safetensors", "model.safetensors"], "model.safetensors", "model"),
        (["model.safetensors.index.json"], "model.safetensors.index.json", "model"),
        (["pytorch_model.bin", "training_args.bin"], "pytorch_model.bin", "model"),
        (["pytorch_model.bin.index.json"], "pytorch_model.bin.index.json", "model"),
        (["pytorch_model.bin", "odd.safetensors"], "pytorch_model.bin", "model"),
        (["diffusion_pytorch_model.bin"], "diffusion_pytorch_model.bin", "diffusion_pytorch_model"),
        ([f"{FP16}.bin", f"{FP16}.safetensors"], f"{FP16}.safetensors", "diffusion_pytorch_model"),
        (["model.fp16-00001-of-00002.safetensors", "model.safetensors.index.fp16.json"],
         "model.safetensors.index.fp16.json", "model"),
        (["consolidated.safetensors"], "consolidated.safetensors", "model"),
        (["optimizer.pt", "scheduler.pt", "weights.pt"], "weights.pt", "model"),
    ],
)  # fmt: skip
def test_weights_are_chosen_by_their_names(names, file, stem):
    found = weights_among("a", names)
    assert (found.file, found.stem) == (file, stem)


@pytest.mark.parametrize("names", [[], ["tf_model.h5"], ["optimizer.pt"], ["model.gguf"]])
def test_a_folder_may_hold_none(names):
    assert weights_among("a", names) is None


@pytest.mark.parametrize(
    "names",
    [
        ["x.safetensors", "y.safetensors"],
        ["model.fp16.safetensors", "model.non_ema.safetensors"],
        ["x.pt", "y.ckpt"],
    ],
)
def test_several_that_might_be_meant_are_refused(names):
    with pytest.raises(MergeGraphError, match="several weight files"):
        weights_among("a", names)
