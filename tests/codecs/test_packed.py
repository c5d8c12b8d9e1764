"""Whole numbers of few bits: packed here as the formats say, and read."""

import pytest
import torch

from mergegraph import MergeGraphError

STEM = "model.layers.0.mlp.up_proj"
OUTPUTS, INPUTS, GROUP = 48, 64, 32
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # which of eight neighbours each place of a word holds


def packed(numbers, bits, order=None):
    """Numbers of the last axis in words of 32 bits."""
    per_word = 32 // bits
    grouped = numbers.reshape(*numbers.shape[:-1], -1, per_word)[..., order or range(per_word)]
    words = sum(grouped[..., i].long() << (bits * i) for i in range(per_word))
    return (words - ((words >> 31) << 32)).to(torch.int32)


def numbers(*shape, bits):
    return torch.randint(0, 2**bits, shape)


def config(**scheme):
    return {"torch_dtype": "float16", "quantization_config": scheme}


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_gptq(checkpoint, decoded, opened, bits, act_order):
    codes = numbers(OUTPUTS, INPUTS, bits=bits)
    zeros = numbers(OUTPUTS, INPUTS // GROUP, bits=bits)
    scales = torch.rand(OUTPUTS, INPUTS // GROUP).half()
    groups = torch.arange(INPUTS) // GROUP
    groups = groups[torch.randperm(INPUTS)] if act_order else groups
    tensors = {
        f"{STEM}.qweight": packed(codes, bits).T.contiguous(),
        f"{STEM}.qzeros": packed(zeros.T.contiguous(), bits),
        f"{STEM}.scales": scales.T.contiguous(),
        f"{STEM}.g_idx": groups.to(torch.int32),
    }
    scheme = config(quant_method="gptq", bits=bits, group_size=GROUP, desc_act=act_order)
    path = checkpoint("m", tensors, config=scheme)
    wanted = (codes - zeros[:, groups] - 1).float() * scales[:, groups].float()
    assert decoded(path)[f"{STEM}.weight"].equal(wanted)
    assert opened(path).stored == {f"{STEM}.weight": "float16"}


def test_gptq_of_the_second_version_stores_zeros_as_they_are(checkpoint, decoded):
    codes, zeros = numbers(8, 8, bits=4), numbers(8, 1, bits=4)
    tensors = {
        f"{STEM}.qweight": packed(codes, 4).T.contiguous(),
        f"{STEM}.qzeros": packed(zeros.T.contiguous(), 4),
        f"{STEM}.scales": torch.ones(1, 8),
    }
    scheme = config(quant_method="gptq", bits=4, group_size=-1, checkpoint_format="gptq_v2")
    found = decoded(checkpoint("m", tensors, config=scheme))
    assert found[f"{STEM}.weight"].equal((codes - zeros).float())


def test_gptq_of_three_bits_is_refused(checkpoint, opened):
    tensors = {f"{STEM}.qweight": torch.zeros(3, 8, dtype=torch.int32)}
    path = checkpoint("m", tensors, config=config(quant_method="gptq", bits=3))
    with pytest.raises(MergeGraphError, match=r"/m: .*qweight: GPTQ of 3 bits is not decoded"):
        opened(path)


def test_awq(checkpoint, decoded):
    codes = numbers(INPUTS, OUTPUTS, bits=4)
    zeros = numbers(INPUTS // GROUP, OUTPUTS, bits=4)
    scales = torch.rand(INPUTS // GROUP, OUTPUTS).half()
    tensors = {
        f"{STEM}.qweight": packed(codes, 4, AWQ_ORDER),
        f"{STEM}.qzeros": packed(zeros, 4, AWQ_ORDER),
        f"{STEM}.scales": scales,
    }
    scheme = config(quant_method="awq", bits=4, group_size=GROUP, version="gemm", zero_point=True)
    spread = [each.repeat_interleave(GROUP, 0) for each in (zeros, scales.float())]
    wanted = ((codes - spread[0]) * spread[1]).T
    found = decoded(checkpoint("m", tensors, config=scheme))
    assert found[f"{STEM}.weight"].equal(wanted)


def test_awq_in_another_layout_is_refused(checkpoint, opened):
    path = checkpoint("m", w=[1.0], config=config(quant_method="awq", bits=4, version="gemv"))
    with pytest.raises(MergeGraphError, match="the layout gemv is not decoded"):
        opened(path)


def packed_int(bits, **more):
    codes = numbers(OUTPUTS, INPUTS, bits=bits)
    scales = torch.rand(OUTPUTS, INPUTS // GROUP).bfloat16()
    tensors = {
        f"{STEM}.weight_packed": packed(codes, bits),
        f"{STEM}.weight_scale": scales,
        f"{STEM}.weight_shape": torch.tensor([OUTPUTS, INPUTS]),
        **more,
    }
    groups = {"group_0": {"weights": {"num_bits": bits, "type": "int"}}}
    scheme = config(quant_method="compressed-tensors", config_groups=groups)
    spread = scales.float().repeat_interleave(GROUP, 1)
    return tensors, scheme, (codes - 2 ** (bits - 1)).float() * spread


@pytest.mark.parametrize("bits", [4, 8])
def test_whole_numbers_of_compressed_tensors(checkpoint, decoded, bits):
    tensors, scheme, wanted = packed_int(bits)
    found = decoded(checkpoint("m", tensors, config=scheme))
    assert found.keys() == {f"{STEM}.weight"}
    assert found[f"{STEM}.weight"].equal(wanted)


def test_schemes_with_zero_points_are_refused(checkpoint, opened):
    more = {f"{STEM}.weight_zero_point": torch.zeros(6, 2, dtype=torch.int32)}
    tensors, scheme, _ = packed_int(4, **more)
    with pytest.raises(MergeGraphError, match=r"weight_zero_point: .* not decoded"):
        opened(checkpoint("m", tensors, config=scheme))


@pytest.mark.parametrize("whole", ["weight_scale_2", "weight_global_scale"])
def test_nvfp4(checkpoint, decoded, whole):
    table = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    table = torch.cat([table, -table])
    codes = numbers(OUTPUTS, INPUTS, bits=4)
    pairs = codes.reshape(OUTPUTS, -1, 2)
    scales = torch.rand(OUTPUTS, INPUTS // 16).to(torch.float8_e4m3fn)
    is_share = whole == "weight_scale_2"
    tensors = {
        f"{STEM}.{'weight' if is_share else 'weight_packed'}": (
            pairs[..., 0] + 16 * pairs[..., 1]
        ).to(torch.uint8),
        f"{STEM}.weight_scale": scales,
        f"{STEM}.{whole}": torch.tensor(0.37) if is_share else torch.tensor([1700.0]),
        f"{STEM}.{'input_scale' if is_share else 'input_global_scale'}": torch.ones(1),
    }
    fine = scales.float() * 0.37 if is_share else scales.float() / 1700.0
    wanted = table[codes] * fine.repeat_interleave(16, 1)
    found = decoded(checkpoint("m", tensors, config=config(quant_method="modelopt")))
    assert found.keys() == {f"{STEM}.weight"}
    assert found[f"{STEM}.weight"].equal(wanted)
