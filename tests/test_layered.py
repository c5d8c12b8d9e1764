"""What config.json says of single layers, and how it follows them."""

from __future__ import annotations

import pytest

from mergegraph import MergeGraphError
from mergegraph.layered import said_of_layers, with_layers

VISION = {
    "model_type": "gemma3",
    "text_config": {"num_hidden_layers": 4, "vocab_size": 64, "layer_types": ["a", "b", "a", "b"]},
    "vision_config": {"num_hidden_layers": 2, "depth": 2},
}
T5 = {"num_layers": 4, "num_decoder_layers": 4}
CLIP = {"text_config": {"num_hidden_layers": 4}, "vision_config": {"num_hidden_layers": 4}}


def test_a_stack_has_the_number_of_its_layers():
    config = {"num_hidden_layers": 4, "max_window_layers": 4, "hidden_size": 4}
    assert with_layers(config, "model.layers", 4, [(config, i) for i in (0, 1, 1, 2, 3, 3)]) == {
        "num_hidden_layers": 6,
        "max_window_layers": 4,
        "hidden_size": 4,
    }


def test_lists_of_layers_follow_their_layers():
    config = {"num_hidden_layers": 3, "layer_types": ["a", "b", "c"], "eos_token_id": [1, 2]}
    adapted = with_layers(config, "model.layers", 3, [(config, 2), (config, 0)])
    assert adapted["layer_types"] == ["c", "a"]
    assert adapted["eos_token_id"] == [1, 2]


def test_elements_of_a_layer_come_from_its_own_model():
    ours = {"num_hidden_layers": 2, "layer_types": ["a", "b"]}
    theirs = {"num_hidden_layers": 3, "layer_types": ["x", "y", "z"]}
    adapted = with_layers(ours, "model.layers", 2, [(ours, 0), (theirs, 2)])
    assert adapted["layer_types"] == ["a", "z"]


def test_a_model_whose_config_has_no_such_list_lends_the_donors_element():
    ours = {"num_hidden_layers": 2, "layer_types": ["a", "b"]}
    assert with_layers(ours, "model.layers", 2, [(ours, 0), ({}, 1), ({}, 7)])["layer_types"] == [
        "a",
        "b",
        "b",
    ]


def test_only_the_config_of_the_stack_follows_it():
    adapted = with_layers(VISION, "model.layers", 4, [(VISION, 0), (VISION, 3)])
    assert adapted["text_config"]["num_hidden_layers"] == 2
    assert adapted["text_config"]["layer_types"] == ["a", "b"]
    assert adapted["vision_config"] == VISION["vision_config"]


@pytest.mark.parametrize(
    ("config", "stack", "expected"),
    [
        (T5, "encoder.block", {"num_layers": 6, "num_decoder_layers": 4}),
        (T5, "decoder.block", {"num_layers": 4, "num_decoder_layers": 6}),
        (CLIP, "text_model.encoder.layers", {**CLIP, "text_config": {"num_hidden_layers": 6}}),
        (CLIP, "vision_model.encoder.layers", {**CLIP, "vision_config": {"num_hidden_layers": 6}}),
        (CLIP, "model.language_model.layers", {**CLIP, "text_config": {"num_hidden_layers": 6}}),
    ],
)
def test_of_two_stacks_of_one_length_the_one_that_grows_is_told(config, stack, expected):
    assert with_layers(config, stack, 4, [(config, 0)] * 6) == expected


# -- everything else that speaks of single layers ----------------------------------------------


@pytest.mark.parametrize(
    ("said", "taken", "expected"),
    [
        ({"mlp_only_layers": [0, 2]}, [0, 1, 2, 2, 3], {"mlp_only_layers": [0, 2, 3]}),
        ({"mlp_only_layers": []}, [0, 0], {"mlp_only_layers": []}),
        ({"cross_attention_layers": [3]}, [0, 1], {"cross_attention_layers": []}),
        ({"moe_layers": [0, 1, 2, 3]}, [0, 3], {"moe_layers": [0, 1]}),
        ({"no_rope_layers": [1, 1, 1, 0]}, [3, 0], {"no_rope_layers": [0, 1]}),
        ({"first_k_dense_replace": 2}, [0, 1, 1, 2], {"first_k_dense_replace": 3}),
        ({"num_kv_shared_layers": 1}, [0, 1, 3, 3], {"num_kv_shared_layers": 2}),
        ({"block_types": ["a", "b"]}, [0, 2, 3], {"block_types": ["a", "a", "b"]}),
        ({"hybrid_override_pattern": "M-M*"}, [3, 0], {"hybrid_override_pattern": "*M"}),
        ({"attention_types": [[["g", "l"], 2]]}, [1, 2], {"attention_types": [[["l", "g"], 1]]}),
        ({"attn_layer_period": 2, "attn_layer_offset": 1}, [2, 1, 0], {"attn_layer_period": 2}),
        ({"sliding_window_pattern": 2, "layer_types": [*"sfsf"]}, [1], {"layer_types": ["f"]}),
        ({"max_window_layers": 2, "use_sliding_window": True}, [0, 3, 3], {"max_window_layers": 1}),
        ({"num_nextn_predict_layers": 1}, [0, 1], {"num_nextn_predict_layers": 0}),
        ({"eos_token_id": [0, 1, 2, 3]}, [0], {"eos_token_id": [0, 1, 2, 3]}),
        ({"architectures": ["A", "B", "C", "D"]}, [0], {"architectures": ["A", "B", "C", "D"]}),
        ({"deepstack_visual_indexes": [1]}, [0, 0, 1], {"deepstack_visual_indexes": [2]}),
    ],
)
def test_whatever_is_said_of_layers_follows_them(said, taken, expected):
    config = {"num_hidden_layers": 4, **said}
    found = with_layers(config, "model.layers", 4, [(config, at) for at in taken])
    assert found.items() >= {**expected, "num_hidden_layers": len(taken)}.items()


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"first_k_dense_replace": 2}, [0, 1, 2, 1]),
        ({"num_kv_shared_layers": 1}, [0, 3, 1]),
        ({"attn_layer_period": 2, "attn_layer_offset": 1}, [0, 0]),
        ({"sliding_window_pattern": 2}, [1]),
        ({"decoder_sparse_step": 2}, [0, 2]),
        ({"deepstack_visual_indexes": [1]}, [1, 1]),
        ({"deepstack_visual_indexes": [1]}, [0, 2]),
    ],
)
def test_what_cannot_be_said_of_the_new_layers_is_refused(said, taken):
    config = {"num_hidden_layers": 4, **said}
    with pytest.raises(MergeGraphError, match=rf"config.json has {next(iter(said))}: .*; choose"):
        with_layers(config, "model.layers", 4, [(config, at) for at in taken])


def test_the_layers_of_an_encoder_may_go_by_two_names():
    config = {"encoder_layers": 4, "decoder_layers": 4, "num_hidden_layers": 4}
    found = with_layers(config, "model.encoder.layers", 4, [(config, 0)])
    assert found == {"encoder_layers": 1, "decoder_layers": 4, "num_hidden_layers": 1}
    found = with_layers(config, "model.decoder.layers", 4, [(config, 0)])
    assert found == {"encoder_layers": 4, "decoder_layers": 1, "num_hidden_layers": 4}


def test_a_decoder_as_long_as_its_encoder_unsaid_is_told_of():
    config = {"num_layers": 4, "is_encoder_decoder": True}
    found = with_layers(config, "encoder.block", 4, [(config, 0)])
    assert (found["num_layers"], found["num_decoder_layers"]) == (1, 4)
    found = with_layers(config, "decoder.block", 4, [(config, 0)])
    assert (found["num_layers"], found["num_decoder_layers"]) == (4, 1)


def test_the_outputs_of_a_backbone_follow_their_layers():
    config = {
        "num_hidden_layers": 3,
        "stage_names": ["stem", "stage1", "stage2", "stage3"],
        "out_features": ["stage1", "stage3"],
        "out_indices": [1, 3],
    }
    found = with_layers(config, "encoder.layer", 3, [(config, at) for at in (0, 1)])
    assert found["out_features"] == ["stage1", "stage2"]
    assert found["out_indices"] == [1, 2]
    assert found["stage_names"] == ["stem", "stage1", "stage2"]
    with pytest.raises(MergeGraphError, match="out_features"):
        with_layers(config, "encoder.layer", 3, [(config, 1)])


def test_kinds_of_layers_are_told_apart():
    config = {"num_hidden_layers": 3, "mlp_only_layers": [1], "layer_types": ["a", "a", "b"]}
    first, second, third = said_of_layers(config, "model.layers", 3)
    assert len({first, second, third}) == 3


def test_layers_of_a_part_are_counted_in_its_config():
    config = {"a/": {"num_layers": 2, "kinds": ["x", "y"]}, "b/": {"num_layers": 2}}
    found = with_layers(config, "a/h", 2, [(config, 1), (config, 0), (config, 1)])
    assert found["a/"] == {"num_layers": 3, "kinds": ["y", "x", "y"]}
    assert found["b/"] == {"num_layers": 2}
