"""The forward pass, against transformers'."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch

from mergegraph.demo.llama import Config, logits, read_config, shapes
from mergegraph.demo.train import CONFIG, first_weights
from mergegraph.errors import MergeGraphError

transformers = pytest.importorskip("transformers")

TOKENS = torch.randint(0, 30, (3, 17), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("layers", [1, 6, 9])
def test_logits_equal_those_of_transformers(layers):
    config = replace(CONFIG, num_hidden_layers=layers)
    weights = first_weights(config, seed=1)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**asdict(config)))
    model.load_state_dict(weights)
    expected = model.eval()(TOKENS).logits
    torch.testing.assert_close(logits(weights, config, TOKENS), expected, atol=2e-5, rtol=2e-5)


def test_weights_of_any_dtype_are_computed_in_float32():
    halves = {name: each.bfloat16() for name, each in first_weights(CONFIG, seed=1).items()}
    wholes = {name: each.float() for name, each in halves.items()}
    found = logits(halves, CONFIG, TOKENS)
    assert found.dtype == torch.float32
    assert torch.equal(found, logits(wholes, CONFIG, TOKENS))


def test_shapes_are_those_of_transformers():
    config = Config(11, 8, 12, 2, 4, 2, 6)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**asdict(config)))
    assert shapes(config) == {name: tuple(each.shape) for name, each in model.state_dict().items()}


def test_a_configuration_is_read_from_either_spelling_of_the_angle(tmp_path):
    path = tmp_path / "config.json"
    plain = {**asdict(CONFIG), "model_type": "llama"}
    path.write_text(json.dumps({**plain, "rope_theta": 500.0}))
    old = read_config(path)
    del plain["rope_theta"]
    path.write_text(json.dumps({**plain, "rope_parameters": {"rope_theta": 500.0}}))
    assert read_config(path) == old == replace(CONFIG, rope_theta=500.0)


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "gpt2"}', '{"model_type": "llama"}'])
def test_a_configuration_that_is_no_llama_is_an_error(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(MergeGraphError, match=r"config\.json"):
        read_config(tmp_path / "config.json")
