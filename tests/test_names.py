"""Names of tensors, as transformers writes those of many architectures."""

from __future__ import annotations

import pytest
import torch

from mergegraph.config import layer_counts, ties_head, vocabulary_sizes
from mergegraph.names import (
    LayerName,
    is_embedding,
    is_head,
    is_quantized,
    layer_of,
    layer_stacks,
    stands_before_layers,
)

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WITHOUT_GROUPS = {key: SMALL[key] for key in SMALL if key != "num_key_value_heads"}
OLD = {"n_layer": 3, "n_embd": 16, "n_head": 2, "vocab_size": 64, "bos_token_id": 1,
       "eos_token_id": 2}  # fmt: skip
LLAMA = ({"model.layers": 3}, ["model.embed_tokens.weight"], ["lm_head.weight"])

# what is built -> its stacks of layers, its embeddings, its heads
ARCHITECTURES = {
    "llama": (SMALL, *LLAMA),
    "mistral": (SMALL, *LLAMA),
    "qwen2": (SMALL, *LLAMA),
    "qwen3": (SMALL, *LLAMA),
    "gemma3_text": (SMALL, *LLAMA),
    "phi3": (SMALL, *LLAMA),
    "olmo2": (SMALL, *LLAMA),
    "cohere": (SMALL, *LLAMA),
    "mixtral": ({**SMALL, "num_local_experts": 2}, *LLAMA),
    "qwen3_moe": ({**SMALL, "num_experts": 2, "moe_intermediate_size": 8}, *LLAMA),
    "gpt2": (OLD, {"transformer.h": 3}, ["transformer.wte.weight"], ["lm_head.weight"]),
    "gptj": ({**OLD, "rotary_dim": 4}, {"transformer.h": 3}, ["transformer.wte.weight"],
             ["lm_head.weight"]),
    "gpt_neox": (WITHOUT_GROUPS, {"gpt_neox.layers": 3}, ["gpt_neox.embed_in.weight"],
                 ["lm_head.weight"]),
    "falcon": (WITHOUT_GROUPS, {"transformer.h": 3}, ["transformer.word_embeddings.weight"],
               ["lm_head.weight"]),
    "bloom": ({**OLD, "hidden_size": 16}, {"transformer.h": 3},
              ["transformer.word_embeddings.weight"], ["lm_head.weight"]),
    "mpt": ({"d_model": 16, "n_heads": 2, "n_layers": 3, "vocab_size": 64},
            {"transformer.blocks": 3}, ["transformer.wte.weight"], ["lm_head.weight"]),
    "mamba": ({"hidden_size": 16, "num_hidden_layers": 3, "vocab_size": 64},
              {"backbone.layers": 3}, ["backbone.embeddings.weight"], ["lm_head.weight"]),
    "bert": ({**WITHOUT_GROUPS, "is_decoder": True}, {"bert.encoder.layer": 3},
             ["bert.embeddings.word_embeddings.weight"], ["cls.predictions.decoder.weight"]),
    "t5": ({"d_model": 16, "d_ff": 32, "d_kv": 8, "num_heads": 2, "num_layers": 3,
            "num_decoder_layers": 2, "vocab_size": 64},
           {"encoder.block": 3, "decoder.block": 2},
           ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"],
           ["lm_head.weight"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def built():
    """A tiny model of an architecture, on no device."""
    transformers = pytest.importorskip("transformers")
    models = {}

    def build(kind):
        if kind not in models:
            config = transformers.AutoConfig.for_model(kind, **ARCHITECTURES[kind][0])
            is_seq2seq = kind == "t5"
            made = (
                transformers.AutoModelForSeq2SeqLM
                if is_seq2seq
                else transformers.AutoModelForCausalLM
            )
            with torch.device("meta"):
                models[kind] = made.from_config(config)
        return models[kind]

    return build


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_stacks_embeddings_and_heads_are_found_by_name(built, kind):
    names = list(built(kind).state_dict())
    _, stacks, embeddings, heads = ARCHITECTURES[kind]
    assert layer_stacks(names) == stacks
    assert list(filter(is_embedding, names)) == embeddings
    assert list(filter(is_head, names)) == heads
    assert not any(map(is_quantized, names))


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_heads_and_embeddings_are_those_that_transformers_knows(built, kind):
    model = built(kind)
    vocabulary = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    found = {
        id(each)
        for name, each in model.named_parameters(remove_duplicate=False)
        if is_embedding(name) or is_head(name)
    }
    assert vocabulary <= found


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_embeddings_stand_before_the_layers_and_heads_after(built, kind):
    names = [name for name in built(kind).state_dict() if layer_of(name) is None]
    before = {name for name in names if stands_before_layers(name)}
    assert before >= set(filter(is_embedding, names))
    assert not before & set(filter(is_head, names))
    after = ("final", ".norm.", "norm_f.", "ln_f.")
    assert not any(part in name for part in after for name in before)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_config_counts_the_layers_and_the_vocabulary(built, kind):
    config = built(kind).config.to_dict()
    assert set(ARCHITECTURES[kind][1].values()) <= layer_counts(config)
    assert 64 in vocabulary_sizes(config)


def test_the_config_says_whether_the_head_is_tied(built):
    assert ties_head(built("gpt2").config.to_dict()) is True
    assert ties_head(built("llama").config.to_dict()) is False


# -- single names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("model.layers.10.mlp.up.weight", LayerName("model.layers", 10, "mlp.up.weight")),
        ("h.0.attn", LayerName("h", 0, "attn")),
        ("layers.3.experts.7.w1", LayerName("layers", 3, "experts.7.w1")),
        ("model.layers.1", None),
        ("0.weight", None),
        ("model.norm2.weight", None),
        ("model.layers.1x.weight", None),
    ],
)
def test_a_layer_is_the_first_number_among_the_parts_of_a_name(name, layer):
    assert layer_of(name) == layer


def test_a_layer_name_can_be_given_another_number():
    layer = layer_of("layers.3.experts.7.w1")
    assert layer is not None
    assert layer.numbered(12) == "layers.12.experts.7.w1"


def test_a_stack_is_as_long_as_its_last_layer_says():
    assert layer_stacks(["h.0.w", "h.9.w", "v.layers.2.w", "norm"]) == {"h": 10, "v.layers": 3}


@pytest.mark.parametrize(
    "name",
    ["h.0.attention.output.weight", "layers.1.lm_head.weight", "vision.output.weight",
     "lm_head.bias", "my_lm_head.weight", "model.decoder.weight"],
)  # fmt: skip
def test_what_is_named_like_a_head_inside_a_layer_or_a_tower_is_none(name):
    assert not is_head(name)


@pytest.mark.parametrize(
    "name", ["layers.0.mlp.shared.weight", "embeddings.position_embeddings.weight", "wte.bias"]
)
def test_what_is_named_like_an_embedding_inside_a_layer_is_none(name):
    assert not is_embedding(name)


@pytest.mark.parametrize(
    "name",
    ["model.visual.patch_embed.proj.weight", "vision_model.pre_layrnorm.weight", "embeddings.cls",
     "transformer.wpe.weight"],
)  # fmt: skip
def test_the_input_side_stands_before_the_layers(name):
    assert stands_before_layers(name)
