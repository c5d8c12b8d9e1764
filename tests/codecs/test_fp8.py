"""FP8 and INT8 with scales, in the layouts that models are stored in."""

import pytest
import torch
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

from mergegraph import MergeGraphError

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
BLOCKS = {"quant_method": "fp8", "weight_block_size": [128, 128]}
NAME = "model.layers.0.mlp.up_proj.weight"


def quantised(shape, dtype=E4M3):
    return (torch.randn(shape) * 50).to(dtype)


def config(**scheme):
    return {"torch_dtype": "bfloat16", "quantization_config": scheme}


def test_blocks_are_those_of_transformers(checkpoint, decoded, opened):
    weight, scales = quantised((256, 384)), torch.rand(2, 3)
    path = checkpoint("m", {NAME: weight, f"{NAME}_scale_inv": scales}, config=config(**BLOCKS))
    wanted = Fp8Dequantize(None)._dequantize_one(weight, scales, torch.float32)
    assert decoded(path)[NAME].equal(wanted)
    model = opened(path)
    assert model.stored == {NAME: "bfloat16"}
    assert "quantization_config" not in model.config


def test_blocks_at_the_edges_may_be_smaller(checkpoint, decoded):
    weight, scales = quantised((200, 130)), torch.rand(2, 2)
    path = checkpoint("m", {NAME: weight, f"{NAME}_scale_inv": scales}, config=config(**BLOCKS))
    spread = scales.repeat_interleave(128, 0).repeat_interleave(128, 1)[:200, :130]
    assert decoded(path)[NAME].equal(weight.float() * spread)


def test_scales_may_be_bfloat16(checkpoint, decoded):
    weight, scales = quantised((128, 256)), torch.rand(1, 2).bfloat16()
    path = checkpoint("m", {NAME: weight, f"{NAME}_scale_inv": scales}, config=config(**BLOCKS))
    assert decoded(path)[NAME].equal(weight.float() * scales.float().repeat_interleave(128, 1))


def test_fused_experts_have_scales_each(checkpoint, decoded):
    name = "model.layers.0.mlp.experts.gate_up_proj"
    weight, scales = quantised((3, 256, 128)), torch.rand(3, 2, 1)
    path = checkpoint("m", {name: weight, f"{name}_scale_inv": scales}, config=config(**BLOCKS))
    assert decoded(path)[name].equal(weight.float() * scales.repeat_interleave(128, 1))


@pytest.mark.parametrize("shape", [(), (1,), (40, 1), (40,), (1, 1)])
@pytest.mark.parametrize("dtype", [E4M3, E5M2, torch.int8])
def test_scales_may_be_of_tensors_or_rows(checkpoint, decoded, shape, dtype):
    weight, scales = quantised((40, 24), dtype), torch.rand(shape)
    path = checkpoint(
        "m",
        {NAME: weight, f"{NAME}_scale": scales},
        config=config(quant_method="compressed-tensors"),
    )
    wanted = weight.float() * scales.reshape(-1, 1)
    assert decoded(path)[NAME].equal(wanted)


def test_scales_of_activations_are_left_out(checkpoint, opened):
    stem = "model.layers.0.self_attn.k_proj"
    path = checkpoint(
        "m",
        {
            f"{stem}.weight": quantised((8, 8)),
            f"{stem}.weight_scale": torch.ones(()),
            f"{stem}.input_scale": torch.ones(()),
            f"{stem}.k_scale": torch.ones(()),
        },
        config=config(quant_method="modelopt"),
    )
    assert list(opened(path).tensors) == [f"{stem}.weight"]


@pytest.mark.parametrize("marker", [torch.zeros(0, dtype=E4M3), torch.zeros(2, dtype=E4M3)])
def test_single_files_of_comfyui_are_read(checkpoint, decoded, marker):
    weight, scale = quantised((8, 6)), torch.tensor(0.25)
    path = checkpoint(
        "m",
        {
            "blocks.0.qkv.weight": weight,
            "blocks.0.qkv.scale_weight": scale,
            "blocks.0.qkv.scale_input": torch.tensor(2.0),
            "blocks.0.norm.weight": torch.ones(6),
            "scaled_fp8": marker,
        },
    )
    found = decoded(path / "model.safetensors")
    assert found.keys() == {"blocks.0.qkv.weight", "blocks.0.norm.weight"}
    assert found["blocks.0.qkv.weight"].equal(weight.float() / 4)


def test_weights_without_scales_beside_scaled_ones_are_refused(checkpoint, opened):
    tensors = {
        NAME: quantised((8, 8)),
        f"{NAME}_scale": torch.ones(()),
        "b.weight": quantised((8, 8)),
    }
    path = checkpoint("m", tensors, config=config(quant_method="fp8"))
    with pytest.raises(MergeGraphError, match=r"/m: b\.weight: no scales for it"):
        opened(path)


def test_scales_that_belong_to_nothing_are_refused(checkpoint, opened):
    tensors = {
        NAME: quantised((8, 8)),
        f"{NAME}_scale": torch.ones(()),
        "b.weight_scale": torch.ones(()),
    }
    path = checkpoint("m", tensors, config=config(quant_method="fp8"))
    with pytest.raises(MergeGraphError, match=r"b\.weight_scale belongs to quantised weights"):
        opened(path)


def test_scales_of_no_blocks_are_refused(checkpoint, opened):
    tensors = {NAME: quantised((8, 8)), f"{NAME}_scale_inv": torch.ones(3, 1)}
    path = checkpoint("m", tensors, config=config(**BLOCKS))
    with pytest.raises(MergeGraphError, match="do not divide"):
        opened(path)


@pytest.mark.parametrize("shape", [(300, 160), (256, 384)])
def test_blocks_are_of_128_where_nothing_is_stated(checkpoint, decoded, shape):
    weight, scales = quantised(shape), torch.rand(*(-(-side // 128) for side in shape))
    path = checkpoint("m", {NAME: weight, f"{NAME}_scale_inv": scales})
    spread = scales.repeat_interleave(128, 0).repeat_interleave(128, 1)[: shape[0], : shape[1]]
    assert decoded(path)[NAME].equal(weight.float() * spread)


@pytest.mark.parametrize("scales", [(3, 3), (2, 1), (4, 4)])
def test_blocks_of_another_size_are_not_guessed(checkpoint, opened, scales):
    tensors = {NAME: quantised((256, 240)), f"{NAME}_scale_inv": torch.ones(scales)}
    with pytest.raises(MergeGraphError, match="and its config states no weight_block_size"):
        opened(checkpoint("m", tensors))


@pytest.mark.parametrize("scales", [(1, 1), (4, 4), (256, 1), (256,)])
def test_scales_that_are_not_of_the_stated_blocks_are_refused(checkpoint, opened, scales):
    tensors = {NAME: quantised((256, 256)), f"{NAME}_scale_inv": torch.ones(scales)}
    path = checkpoint("m", tensors, config=config(**BLOCKS))
    with pytest.raises(MergeGraphError, match=r"of \(128, 128\), as its config states"):
        opened(path)


def test_compressed_tensors_states_blocks_in_its_way(checkpoint, decoded):
    groups = {"group_0": {"weights": {"strategy": "block", "block_structure": [64, 32]}}}
    weight, scales = quantised((100, 64)), torch.rand(2, 2)
    stated = config(quant_method="compressed-tensors", config_groups=groups)
    path = checkpoint("m", {NAME: weight, f"{NAME}_scale": scales}, config=stated)
    spread = scales.repeat_interleave(64, 0).repeat_interleave(32, 1)[:100]
    assert decoded(path)[NAME].equal(weight.float() * spread)


@pytest.mark.parametrize("method", ["aqlm", "gptq"])
def test_codes_of_another_scheme_are_refused_by_its_name(checkpoint, opened, method):
    tensors = {NAME: quantised((8, 8)), f"{NAME}_scale": torch.ones(())}
    with pytest.raises(MergeGraphError, match=rf"quantised \({method}\), and no codec"):
        opened(checkpoint("m", tensors, config=config(quant_method=method)))


def test_fp8_without_any_scales_is_a_dtype_like_others(checkpoint, decoded):
    weight = quantised((8, 8))
    assert (
        decoded(checkpoint("m", {NAME: weight}))[NAME]
        .view(torch.uint8)
        .equal(weight.view(torch.uint8))
    )
