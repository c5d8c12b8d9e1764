"""MXFP4, against what transformers makes of it."""

import pytest
import torch
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from mergegraph import MergeGraphError

NAME = "model.layers.0.mlp.experts.gate_up_proj"
CONFIG = {"torch_dtype": "bfloat16", "quantization_config": {"quant_method": "mxfp4"}}


@pytest.mark.parametrize("shape", [(3, 10, 2), (1, 6, 1), (2, 300, 9)])
def test_experts_are_those_of_transformers(checkpoint, decoded, opened, shape):
    blocks = torch.randint(0, 256, (*shape, 16), dtype=torch.uint8)
    scales = torch.randint(100, 140, shape, dtype=torch.uint8)
    tensors = {f"{NAME}_blocks": blocks, f"{NAME}_scales": scales, f"{NAME}_bias": torch.ones(4)}
    path = checkpoint("m", tensors, config=CONFIG)
    found = decoded(path)
    assert found[NAME].equal(convert_moe_packed_tensors(blocks, scales).float())
    assert found.keys() == {NAME, f"{NAME}_bias"}
    assert opened(path).stored[NAME] == "bfloat16"


def test_another_layout_is_refused(checkpoint, opened):
    tensors = {
        f"{NAME}_blocks": torch.zeros(2, 3, 8, dtype=torch.uint8),
        f"{NAME}_scales": torch.zeros(2, 3, dtype=torch.uint8),
    }
    with pytest.raises(MergeGraphError, match="not the layout of MXFP4"):
        opened(checkpoint("m", tensors, config=CONFIG))
