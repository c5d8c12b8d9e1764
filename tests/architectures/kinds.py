"""Tiny models of many architectures: their configs, what loads them, where their layers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Config = dict[str, Any]
Pick = tuple[int, int]  # a model, and the number of one of its layers

TEXT: Config = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "vocab_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
TIED = TEXT | {"tie_word_embeddings": True}
SLIDING = TEXT | {"sliding_window": 3}
UNGROUPED = TEXT | {"num_key_value_heads": 2}
SINGLE = {key: TEXT[key] for key in TEXT if key not in ("num_key_value_heads", "head_dim")}
SIDEWAYS = {key: SINGLE[key] for key in SINGLE if key != "tie_word_embeddings"}
OLD: Config = {
    "n_embd": 16,
    "n_layer": 4,
    "n_head": 2,
    "n_positions": 64,
    "vocab_size": 48,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = TEXT | {
    "num_experts": 2,
    "num_local_experts": 2,
    "num_experts_per_tok": 1,
    "moe_intermediate_size": 8,
}
LATENT = {
    **{key: UNGROUPED[key] for key in UNGROUPED if key != "head_dim"},
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 8,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "moe_intermediate_size": 8,
    "first_k_dense_replace": 1,
}
STATES: Config = {
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "vocab_size": 48,
    "state_size": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
HYBRID: Config = {
    "mamba_n_heads": 4,
    "mamba_d_head": 8,
    "mamba_d_state": 4,
    "mamba_n_groups": 1,
}
IMAGES: Config = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
BLOCKS: Config = {"depth": 3, "num_heads": 2, "hidden_size": 16, "patch_size": 4}
T5: Config = {
    "d_model": 16,
    "d_ff": 24,
    "d_kv": 8,
    "num_heads": 2,
    "num_layers": 3,
    "num_decoder_layers": 4,
    "vocab_size": 48,
    "decoder_start_token_id": 0,
}
TWO_SIDES: Config = {
    "d_model": 16,
    "encoder_layers": 3,
    "decoder_layers": 4,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "vocab_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
WAVES = SIDEWAYS | {
    "conv_dim": [8, 8],
    "conv_stride": [2, 2],
    "conv_kernel": [3, 3],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
SEEN = 47  # the token that an image is put in place of
TURNED = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}


@dataclass(frozen=True)
class Stack:
    """Layers: their list in the model, their prefix in files, and what the config says of them."""

    path: str
    prefix: str = ""  # of files, where it is another
    part: str = ""
    count: str = "num_hidden_layers"
    lists: tuple[str, ...] = ()  # of the config: an element for each layer
    numbers: tuple[str, ...] = ()  # of the config: the numbers of some layers

    @property
    def stored(self) -> str:
        """The prefix of the layers in files."""
        return self.prefix or self.path


@dataclass(frozen=True)
class Kind:
    """One architecture, or one variety of it."""

    type: str
    config: Mapping[str, Any]
    stacks: tuple[Stack, ...] = (Stack("model.layers"),)
    loads: str = "AutoModelForCausalLM"
    fed: str = "text"
    deep: tuple[Pick, ...] = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 3))
    short: tuple[Pick, ...] = ((0, 0), (0, 1), (1, 3))


def layers(path: str = "model.layers", **more: Any) -> tuple[Stack, ...]:
    """The only stack of a model."""
    return (Stack(path, **more),)


def seeing(path: str, stored: str, image: Stack, **more: Any) -> tuple[Stack, ...]:
    """The stacks of a model that sees: those of the text first."""
    return (Stack(path, stored, "text_config", **more), image)


def tower(path: str, stored: str, **more: Any) -> Stack:
    """The layers that look at images."""
    return Stack(path, stored, "vision_config", **more)


TYPED = layers(lists=("layer_types",))
BART = (
    Stack("model.encoder.layers", count="encoder_layers"),
    Stack("model.decoder.layers", count="decoder_layers"),
)
T5_SIDES = (
    Stack("encoder.block", count="num_layers"),
    Stack("decoder.block", count="num_decoder_layers"),
)
ALTERNATING = ["full_attention", "sliding_attention"] * 2
MASKED, SEQUENCES = "AutoModelForMaskedLM", "AutoModelForSequenceClassification"
SEQ2SEQ, PICTURES = "AutoModelForSeq2SeqLM", "AutoModelForImageClassification"
SEEING = "AutoModelForImageTextToText"
LABELS = {"num_labels": 3}
TEXT_OF_OTHERS = ("model.language_model.layers", "language_model.model.layers")
CLIP_TOWER = ("model.vision_tower.encoder.layers", "vision_tower.encoder.layers")
VISUAL = ("model.visual.blocks", "visual.blocks")

KINDS: dict[str, Kind] = {
    "llama": Kind("llama", TEXT),
    "llama, tied": Kind("llama", TIED),
    "llama, classifier": Kind("llama", TEXT | LABELS, loads=SEQUENCES),
    "mistral": Kind("mistral", TEXT | {"sliding_window": None}),
    "mistral, sliding": Kind("mistral", SLIDING),
    "ministral": Kind("ministral", SLIDING | {"layer_types": ALTERNATING}, TYPED),
    "qwen2": Kind("qwen2", TEXT, TYPED),
    "qwen2, sliding": Kind(
        "qwen2", SLIDING | {"use_sliding_window": True, "max_window_layers": 2}, TYPED
    ),
    "qwen3": Kind("qwen3", TEXT, TYPED),
    "gemma": Kind("gemma", TIED),
    "gemma2": Kind("gemma2", TIED | {"sliding_window": 3}, TYPED),
    "gemma3_text": Kind(
        "gemma3_text", TIED | {"sliding_window": 3, "layer_types": ALTERNATING}, TYPED
    ),
    "gemma3n_text": Kind(
        "gemma3n_text",
        TIED
        | {
            "sliding_window": 3,
            "layer_types": ALTERNATING[::-1],
            "num_kv_shared_layers": 2,
            "vocab_size_per_layer_input": 48,
            "hidden_size_per_layer_input": 4,
            "laurel_rank": 4,
            "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
            "altup_num_inputs": 2,
        },
        (),
    ),
    "phi": Kind("phi", SINGLE),
    "phi3": Kind("phi3", SINGLE | {"num_key_value_heads": 1}),
    "olmo2": Kind("olmo2", TEXT),
    "olmo3": Kind("olmo3", SLIDING, TYPED),
    "gpt_neox": Kind("gpt_neox", SINGLE, layers("gpt_neox.layers")),
    "gpt_neo": Kind(
        "gpt_neo",
        {
            "hidden_size": 16,
            "num_layers": 4,
            "num_heads": 2,
            "attention_types": [[["global", "local"], 2]],
            "window_size": 3,
            "vocab_size": 48,
            "max_position_embeddings": 64,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        layers("transformer.h", count="num_layers", lists=("attention_layers",)),
    ),
    "gpt2": Kind("gpt2", OLD, layers("transformer.h", count="n_layer")),
    "gptj": Kind("gptj", OLD | {"rotary_dim": 4}, layers("transformer.h", count="n_layer")),
    "gpt_bigcode": Kind("gpt_bigcode", OLD, layers("transformer.h", count="n_layer")),
    "bloom": Kind("bloom", OLD | {"hidden_size": 16}, layers("transformer.h", count="n_layer")),
    "mpt": Kind(
        "mpt",
        {"d_model": 16, "n_heads": 2, "n_layers": 4, "vocab_size": 48, "max_seq_len": 64},
        layers("transformer.blocks", count="n_layers"),
    ),
    "opt": Kind(
        "opt",
        SIDEWAYS | {"ffn_dim": 24, "word_embed_proj_dim": 16},
        layers("model.decoder.layers"),
    ),
    "falcon": Kind("falcon", SINGLE, layers("transformer.h")),
    "cohere": Kind("cohere", TIED | {"use_qk_norm": True}),
    "cohere2": Kind("cohere2", TIED | {"sliding_window": 3}, TYPED),
    "granite": Kind("granite", TIED),
    "nemotron": Kind("nemotron", UNGROUPED),
    "stablelm": Kind("stablelm", TEXT),
    "starcoder2": Kind("starcoder2", TEXT),
    "exaone4": Kind("exaone4", SLIDING | {"sliding_window_pattern": 2}, TYPED),
    "smollm3": Kind(
        "smollm3",
        TIED | {"no_rope_layer_interval": 2},
        layers(lists=("layer_types", "no_rope_layers")),
    ),
    "mixtral": Kind("mixtral", EXPERTS),
    "qwen2_moe": Kind(
        "qwen2_moe",
        EXPERTS | {"shared_expert_intermediate_size": 8, "mlp_only_layers": [1]},
        layers(lists=("layer_types",), numbers=("mlp_only_layers",)),
    ),
    "qwen3_moe": Kind("qwen3_moe", EXPERTS),
    "qwen3_moe, some dense": Kind(
        "qwen3_moe", EXPERTS | {"mlp_only_layers": [1]}, layers(numbers=("mlp_only_layers",))
    ),
    "olmoe": Kind("olmoe", EXPERTS),
    "deepseek_v2": Kind("deepseek_v2", LATENT),
    "deepseek_v3": Kind("deepseek_v3", LATENT),
    "deepseek_v3, two dense": Kind(
        "deepseek_v3",
        LATENT | {"first_k_dense_replace": 2},
        deep=((0, 0), (0, 1), (1, 0), (1, 2), (0, 3), (1, 3)),
        short=((0, 0), (1, 3)),
    ),
    "glm4_moe": Kind(
        "glm4_moe",
        EXPERTS | {"n_routed_experts": 2, "n_shared_experts": 1, "first_k_dense_replace": 1},
    ),
    "gpt_oss": Kind("gpt_oss", EXPERTS | {"sliding_window": 3}, TYPED),
    "llama4_text": Kind(
        "llama4_text",
        EXPERTS
        | {
            "intermediate_size_mlp": 24,
            "interleave_moe_layer_step": 2,
            "no_rope_layers": [1, 1, 1, 0],
            "attention_chunk_size": 8,
        },
        layers(lists=("layer_types", "no_rope_layers"), numbers=("moe_layers",)),
    ),
    "mamba": Kind("mamba", STATES, layers("backbone.layers")),
    "mamba2": Kind(
        "mamba2",
        STATES | {"num_heads": 4, "head_dim": 8, "n_groups": 1},
        layers("backbone.layers"),
    ),
    "falcon_h1": Kind(
        "falcon_h1", TEXT | HYBRID | {"mamba_d_ssm": 16, "mamba_d_head": 8, "mamba_n_heads": 2}
    ),
    "jamba": Kind(
        "jamba",
        EXPERTS
        | {
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "mamba_d_state": 4,
            "mamba_dt_rank": 2,
            "use_mamba_kernels": False,
        },
        short=((0, 0), (1, 3)),
    ),
    "bamba": Kind(
        "bamba",
        TEXT | HYBRID | {"attn_layer_indices": [1]},
        layers(numbers=("attn_layer_indices",)),
    ),
    "granitemoehybrid": Kind(
        "granitemoehybrid",
        EXPERTS
        | HYBRID
        | {"layer_types": ["mamba", "attention"] * 2, "shared_intermediate_size": 8},
        TYPED,
    ),
    "zamba2": Kind(
        "zamba2",
        TEXT
        | {
            "mamba_d_state": 4,
            "n_mamba_heads": 2,
            "mamba_ngroups": 1,
            "num_mem_blocks": 1,
            "layers_block_type": ["mamba", "hybrid"] * 2,
            "mamba_headdim": 16,
            "attention_head_dim": 16,
        },
        (),
    ),
    "qwen3_next": Kind(
        "qwen3_next",
        EXPERTS
        | {
            "shared_expert_intermediate_size": 8,
            "linear_num_key_heads": 1,
            "linear_num_value_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "layer_types": ["linear_attention", "full_attention"] * 2,
        },
        TYPED,
    ),
    "lfm2": Kind("lfm2", TIED | {"layer_types": ["conv", "full_attention"] * 2}, TYPED),
    "recurrent_gemma": Kind(
        "recurrent_gemma",
        TIED | {"lru_width": 16, "block_types": ["recurrent", "attention"]},
        layers(lists=("block_types",)),
    ),
    "rwkv": Kind(
        "rwkv", STATES | {"context_length": 64, "attention_hidden_size": 16}, layers("rwkv.blocks")
    ),
    "bert": Kind("bert", SIDEWAYS, layers("encoder.layer"), "AutoModel"),
    "bert, masked": Kind("bert", SIDEWAYS, layers("bert.encoder.layer"), MASKED),
    "bert, classifier": Kind("bert", SIDEWAYS | LABELS, layers("bert.encoder.layer"), SEQUENCES),
    "roberta": Kind("roberta", SIDEWAYS, layers("roberta.encoder.layer"), MASKED),
    "xlm-roberta": Kind(
        "xlm-roberta", SIDEWAYS | LABELS, layers("roberta.encoder.layer"), SEQUENCES
    ),
    "distilbert": Kind(
        "distilbert",
        {"dim": 16, "hidden_dim": 24, "n_layers": 4, "n_heads": 2, "vocab_size": 48},
        layers("distilbert.transformer.layer", count="n_layers"),
        MASKED,
    ),
    "electra": Kind(
        "electra", SIDEWAYS | {"embedding_size": 8}, layers("encoder.layer"), "AutoModel"
    ),
    "deberta-v2": Kind("deberta-v2", SIDEWAYS, layers("deberta.encoder.layer"), MASKED),
    "modernbert": Kind(
        "modernbert", SIDEWAYS | {"cls_token_id": 1, "sep_token_id": 2}, TYPED, MASKED
    ),
    "albert": Kind("albert", SIDEWAYS | {"embedding_size": 8}, (), MASKED),
    "t5": Kind("t5", T5, T5_SIDES, SEQ2SEQ, "text, other text"),
    "t5, untied": Kind(
        "t5",
        T5 | {"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"},
        T5_SIDES,
        SEQ2SEQ,
        "text, other text",
    ),
    "bart": Kind("bart", TWO_SIDES, BART, SEQ2SEQ, "text, other text"),
    "marian": Kind("marian", TWO_SIDES, BART, SEQ2SEQ, "text, other text"),
    "pegasus": Kind("pegasus", TWO_SIDES, BART, SEQ2SEQ, "text, other text"),
    "whisper": Kind(
        "whisper",
        TWO_SIDES | {"num_mel_bins": 8, "max_source_positions": 10, "max_target_positions": 16},
        BART,
        "AutoModelForSpeechSeq2Seq",
        "sound, text",
    ),
    "wav2vec2": Kind(
        "wav2vec2",
        WAVES | {"feat_extract_norm": "layer"},
        layers("wav2vec2.encoder.layers"),
        "AutoModelForCTC",
        "waves",
    ),
    "hubert": Kind("hubert", WAVES, layers("hubert.encoder.layers"), "AutoModelForCTC", "waves"),
    "vit": Kind(
        "vit",
        IMAGES | LABELS,
        layers("vit.layers", prefix="vit.encoder.layer"),
        PICTURES,
        "image",
    ),
    "dinov2": Kind("dinov2", IMAGES, layers("encoder.layer"), "AutoModel", "image"),
    "swin": Kind(
        "swin",
        {
            "image_size": 8,
            "patch_size": 2,
            "embed_dim": 8,
            "depths": [2, 2],
            "num_heads": [2, 2],
            "window_size": 2,
            **LABELS,
        },
        (),
        PICTURES,
        "image",
    ),
    "resnet": Kind(
        "resnet",
        {
            "embedding_size": 8,
            "hidden_sizes": [8, 16],
            "depths": [2, 2],
            "layer_type": "basic",
            **LABELS,
        },
        (),
        PICTURES,
        "image",
    ),
    "clip": Kind(
        "clip",
        {
            "text_config": SIDEWAYS | {"projection_dim": 8},
            "vision_config": IMAGES | {"projection_dim": 8},
            "projection_dim": 8,
        },
        (
            Stack("text_model.encoder.layers", part="text_config"),
            tower("vision_model.encoder.layers", ""),
        ),
        "AutoModel",
        "text, image",
    ),
    "siglip": Kind(
        "siglip",
        {"text_config": SIDEWAYS | {"projection_size": 16}, "vision_config": IMAGES},
        (
            Stack("text_model.encoder.layers", part="text_config"),
            tower("vision_model.encoder.layers", ""),
        ),
        "AutoModel",
        "text, image",
    ),
    "llava": Kind(
        "llava",
        {
            "text_config": TEXT | {"model_type": "llama"},
            "vision_config": IMAGES | {"model_type": "clip_vision_model"},
            "image_token_index": SEEN,
            "vision_feature_layer": -1,
            "tie_word_embeddings": False,
        },
        seeing(*TEXT_OF_OTHERS, tower(*CLIP_TOWER)),
        SEEING,
        "text with image as four",
    ),
    "qwen2_vl": Kind(
        "qwen2_vl",
        {
            "text_config": TEXT | {"rope_parameters": TURNED},
            "vision_config": BLOCKS | {"embed_dim": 16, "mlp_ratio": 2},
            "image_token_id": SEEN,
            "tie_word_embeddings": False,
        },
        seeing(
            "model.language_model.layers",
            "model.layers",
            tower(*VISUAL, count="depth"),
            lists=("layer_types",),
        ),
        SEEING,
        "text with patches",
    ),
    "qwen2_5_vl": Kind(
        "qwen2_5_vl",
        {
            "text_config": TEXT | {"rope_parameters": TURNED},
            "vision_config": BLOCKS
            | {
                "intermediate_size": 24,
                "out_hidden_size": 16,
                "window_size": 8,
                "fullatt_block_indexes": [1],
            },
            "image_token_id": SEEN,
            "tie_word_embeddings": False,
        },
        seeing(
            "model.language_model.layers",
            "model.layers",
            tower(*VISUAL, count="depth", numbers=("fullatt_block_indexes",)),
            lists=("layer_types",),
        ),
        SEEING,
        "text with patches",
    ),
    "qwen3_vl": Kind(
        "qwen3_vl",
        {
            "text_config": TEXT | {"rope_parameters": TURNED},
            "vision_config": BLOCKS
            | {
                "intermediate_size": 24,
                "out_hidden_size": 16,
                "deepstack_visual_indexes": [0],
                "num_position_embeddings": 16,
            },
            "image_token_id": SEEN,
            "tie_word_embeddings": False,
        },
        seeing(
            "model.language_model.layers",
            "",
            tower("model.visual.blocks", "", count="depth", numbers=("deepstack_visual_indexes",)),
        ),
        SEEING,
        "text with patches",
    ),
    "gemma3": Kind(
        "gemma3",
        {
            "text_config": TIED | {"sliding_window": 3, "layer_types": ALTERNATING},
            "vision_config": IMAGES,
            "mm_tokens_per_image": 4,
            "image_token_index": SEEN,
        },
        seeing(*TEXT_OF_OTHERS, tower(*CLIP_TOWER), lists=("layer_types",)),
        SEEING,
        "text with image as four",
    ),
    "mistral3": Kind(
        "mistral3",
        {
            "text_config": TEXT | {"model_type": "mistral"},
            "vision_config": IMAGES | {"model_type": "pixtral", "head_dim": 8},
            "image_token_index": SEEN,
            "spatial_merge_size": 2,
            "tie_word_embeddings": False,
        },
        seeing(
            *TEXT_OF_OTHERS,
            tower("model.vision_tower.transformer.layers", "vision_tower.transformer.layers"),
        ),
        SEEING,
        "text with image as one",
    ),
    "paligemma": Kind(
        "paligemma",
        {
            "text_config": TIED | {"model_type": "gemma"},
            "vision_config": IMAGES | {"model_type": "siglip_vision_model", "projection_dim": 16},
            "projection_dim": 16,
            "image_token_index": SEEN,
        },
        seeing(*TEXT_OF_OTHERS, tower(*CLIP_TOWER)),
        SEEING,
        "text with image as four",
    ),
    "idefics3": Kind(
        "idefics3",
        {
            "text_config": TEXT | {"model_type": "llama"},
            "vision_config": IMAGES,
            "image_token_id": SEEN,
            "tie_word_embeddings": False,
        },
        seeing("model.text_model.layers", "", tower("model.vision_model.encoder.layers", "")),
        SEEING,
    ),
    "mllama": Kind(
        "mllama",
        {
            "text_config": TEXT
            | {
                "cross_attention_layers": [1],
                "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            },
            "vision_config": {
                "hidden_size": 16,
                "intermediate_size": 24,
                "num_hidden_layers": 3,
                "num_global_layers": 1,
                "attention_heads": 2,
                "image_size": 8,
                "patch_size": 4,
                "max_num_tiles": 1,
                "supported_aspect_ratios": [[1, 1]],
                "intermediate_layers_indices": [0],
                "vision_output_dim": 32,
            },
            "image_token_index": 46,
            "tie_word_embeddings": False,
        },
        (Stack(*TEXT_OF_OTHERS, "text_config", numbers=("cross_attention_layers",)),),
        SEEING,
        "text with tiles",
    ),
}
