"""config.json: what it says, and how it follows a merge."""

from __future__ import annotations

import pytest

from mergegraph.config import (
    config_of,
    layer_counts,
    quantization,
    ties_head,
    vocabulary_sizes,
    with_dtype,
    with_dtypes,
    with_untied_head,
    with_vocabulary,
)

VISION = {
    "model_type": "gemma3",
    "text_config": {"num_hidden_layers": 4, "vocab_size": 64, "layer_types": ["a", "b", "a", "b"]},
    "vision_config": {"num_hidden_layers": 2, "depth": 2},
}


def test_layers_are_counted_in_configs_inside_configs():
    assert layer_counts(VISION) == {4, 2}
    assert layer_counts({"n_layer": 3, "encoder_layers": 5, "num_layers": True}) == {3, 5}


def test_vocabularies_are_found_in_configs_inside_configs():
    assert vocabulary_sizes(VISION) == {64}
    assert vocabulary_sizes({"vocab_size": None, "text_config": {"vocab_size": "64"}}) == set()


@pytest.mark.parametrize(
    ("config", "tied"),
    [
        ({}, None),
        ({"tie_word_embeddings": True}, True),
        ({"tie_word_embeddings": False}, False),
        ({"tie_word_embeddings": None}, None),
        ({"text_config": {"tie_word_embeddings": True}}, True),
    ],
)
def test_whether_the_head_is_tied_may_be_said_inside(config, tied):
    assert ties_head(config) is tied


@pytest.mark.parametrize(
    ("config", "scheme"),
    [
        ({}, None),
        ({"quantization_config": None}, None),
        ({"quantization_config": {}}, None),
        ({"quantization_config": {"quant_method": "awq"}}, "awq"),
        ({"quantization_config": {"bits": 4}}, "unnamed"),
        ({"quantization_config": {"quant_method": None}}, "unnamed"),
        ({"quantization": {"group_size": 64, "bits": 4}}, "unnamed"),
        ({"text_config": {"quantization_config": {"quant_method": "fp8"}}}, "fp8"),
    ],
)
def test_quantisation_is_found_wherever_it_is_said(config, scheme):
    assert quantization(config) == scheme


def test_a_vocabulary_is_resized_wherever_its_size_is_said():
    config = {"vocab_size": 64, "text_config": {"vocab_size": 64}, "audio": {"vocab_size": 7}}
    assert with_vocabulary(config, 64, 60) == {
        "vocab_size": 60,
        "text_config": {"vocab_size": 60},
        "audio": {"vocab_size": 7},
    }


def test_a_head_is_untied_where_it_was_tied():
    nested = {"text_config": {"tie_word_embeddings": True}}
    assert with_untied_head(nested) == {"text_config": {"tie_word_embeddings": False}}
    assert with_untied_head({}) == {"tie_word_embeddings": False}


def test_the_dtype_is_said_by_the_word_the_config_uses():
    assert with_dtype({"dtype": "float32"}, "bfloat16") == {"dtype": "bfloat16"}
    assert with_dtype({}, "bfloat16") == {"torch_dtype": "bfloat16"}
    assert with_dtype({"dtype": "x", "text_config": {"dtype": "x"}}, "float16") == {
        "dtype": "float16",
        "text_config": {"dtype": "float16"},
    }


def test_the_config_given_is_left_as_it_was():
    config = {"vocab_size": 8, "text_config": {"dtype": "x"}}
    kept = {"vocab_size": 8, "text_config": {"dtype": "x"}}
    with_vocabulary(config, 8, 4)
    with_dtype(config, "float16")
    with_untied_head(config)
    assert config == kept


def test_the_configs_of_parts_name_a_dtype_where_they_did():
    config = {"unet/": {"_class_name": "U"}, "text_encoder/": {"dtype": "float32"}}
    found = with_dtypes(config, {"unet/": "float16", "text_encoder/": "bfloat16"})
    assert found == {"unet/": {"_class_name": "U"}, "text_encoder/": {"dtype": "bfloat16"}}


def test_a_config_of_diffusers_does_not_name_a_dtype():
    assert with_dtypes({"_class_name": "U"}, {"": "float16"}) == {"_class_name": "U"}


def test_names_with_slashes_are_of_no_part_where_there_is_none():
    assert config_of({"vocab_size": 3}, "a/b.weight") == {"vocab_size": 3}
