"""bitsandbytes, against what its library makes of it."""

import pytest
import torch

from mergegraph import MergeGraphError

functional = pytest.importorskip("bitsandbytes.functional")

NAME = "model.layers.0.mlp.up_proj.weight"
CONFIG = {"dtype": "bfloat16", "quantization_config": {"quant_method": "bitsandbytes"}}


def stored(kind, shape, *, nested, block=64, dtype=torch.bfloat16):
    weight = torch.randn(shape).to(dtype)
    packed, state = functional.quantize_4bit(
        weight, blocksize=block, quant_type=kind, compress_statistics=nested
    )
    beside = {f"{NAME}.{key}": value for key, value in state.as_dict(packed=True).items()}
    return packed, state, {NAME: packed, **beside}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("shape", [(64, 128), (50, 70), (300, 1000)])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_four_bits_are_those_of_the_library(checkpoint, decoded, kind, shape, nested):
    packed, state, tensors = stored(kind, shape, nested=nested)
    state.dtype = torch.float32
    wanted = functional.dequantize_4bit(packed, state)
    found = decoded(checkpoint("m", tensors, config=CONFIG))
    assert found.keys() == {NAME}
    torch.testing.assert_close(found[NAME], wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(64, 96), (5, 32)])
def test_blocks_may_cross_the_ends_of_rows(checkpoint, decoded, shape):
    """The library's kernel for the CPU goes wrong there; its format says what is right."""
    packed, state, tensors = stored("nf4", shape, nested=False)
    codes = torch.stack([packed.view(-1) >> 4, packed.view(-1) & 15], 1).view(-1)
    scales = state.absmax.repeat_interleave(64)[: codes.numel()]
    found = decoded(checkpoint("m", tensors, config=CONFIG))
    assert found[NAME].equal((state.code[codes.long()] * scales).view(shape))


def test_eight_bits_are_those_of_the_library(checkpoint, decoded):
    weight, scales = torch.randint(-127, 128, (30, 20), dtype=torch.int8), torch.rand(30)
    tensors = {
        "a.weight": weight,
        "a.SCB": scales,
        "a.weight_format": torch.tensor(0, dtype=torch.uint8),
    }
    found = decoded(checkpoint("m", tensors, config=CONFIG))
    assert found.keys() == {"a.weight"}
    wanted = functional.int8_vectorwise_dequant(weight, scales)
    torch.testing.assert_close(found["a.weight"], wanted, rtol=1e-6, atol=0)


def test_weights_of_another_size_are_refused(checkpoint, opened):
    _, _, tensors = stored("nf4", (64, 128), nested=False)
    tensors[NAME] = tensors[NAME][:10].clone()
    with pytest.raises(MergeGraphError, match=r"/m: model\..* is not nf4 of the shape \(64, 128\)"):
        opened(checkpoint("m", tensors, config=CONFIG))


STATE = f"{NAME}.quant_state.bitsandbytes__nf4"
PARTS = ["absmax", "nested_absmax", "nested_quant_map", "quant_state.bitsandbytes__nf4"]


@pytest.mark.parametrize("part", PARTS)
def test_what_is_missing_is_named(checkpoint, opened, part):
    _, _, tensors = stored("nf4", (64, 128), nested=True)
    del tensors[f"{NAME}.{part}"]
    with pytest.raises(MergeGraphError, match=rf"/m: {NAME}: its {NAME}\.{part}.* is missing; is"):
        opened(checkpoint("m", tensors, config=CONFIG))


@pytest.mark.parametrize(
    ("text", "fact"),
    [(b"{oops", "is not the JSON"), (b"\xff", "is not the JSON"), (b"{}", "does not tell its bl")],
)
def test_a_state_that_says_nothing_is_refused(checkpoint, opened, text, fact):
    _, _, tensors = stored("nf4", (64, 128), nested=False)
    tensors[STATE] = torch.tensor(list(text), dtype=torch.uint8)
    with pytest.raises(MergeGraphError, match=f"/m: {STATE}: {fact}"):
        opened(checkpoint("m", tensors, config=CONFIG))
