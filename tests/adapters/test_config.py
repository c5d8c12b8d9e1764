"""What adapter_config.json may say, and what is refused by name."""

from __future__ import annotations

import json

import pytest

from mergegraph import LocalTree, MergeGraphError
from mergegraph.adapters.config import read_config

PLAIN = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}


@pytest.fixture
def config(tmp_path):
    def read(**settings):
        (tmp_path / "adapter_config.json").write_text(json.dumps({**PLAIN, **settings}))
        return read_config(LocalTree(tmp_path, "adapter"))

    return read


@pytest.mark.parametrize(
    ("settings", "fact"),
    [
        ({"peft_type": "LOHA"}, "peft_type is LOHA, not LORA; fold it into its base"),
        ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights is pissa_niter_16, which"),
        ({"init_lora_weights": "olora"}, "which changes the base as well"),
        ({"layer_replication": [[0, 2], [1, 3]]}, "layer_replication is set: it repeats layers"),
        ({"megatron_config": {"a": 1}}, "megatron_config is set"),
        ({"use_qalora": True}, "use_qalora is set"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens is set: it acts on some"),
        ({"new_thing": 3}, "new_thing is set, and what it means for the weights is not known"),
        ({"r": 0}, "the rank 0 of r is no whole number"),
        ({"rank_pattern": {"q_proj": 2.5}}, "the rank 2.5 of q_proj"),
        ({"rank_pattern": {"q_(proj": 2}}, "rank_pattern: 'q_\\(proj'"),
        ({"alpha_pattern": ["x"]}, "alpha_pattern is \\['x'\\], not a mapping"),
        ({"lora_alpha": "8"}, "the alpha '8' of lora_alpha is no number"),
        ({"use_dora": "yes"}, "use_dora is 'yes', not true or false"),
        ({"bias": "some"}, "bias is 'some', not none, all or lora_only"),
        ({"modules_to_save": "lm_head"}, "modules_to_save is 'lm_head', not a list"),
        ({"trainable_token_indices": ["a"]}, "not lists of whole numbers"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(config, settings, fact):
    with pytest.raises(MergeGraphError, match=fact):
        config(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {
            "lora_dropout": 0.1,
            "task_type": "CAUSAL_LM",
            "peft_version": "9",
            "inference_mode": True,
        },
        {"new_thing": None, "other_new_thing": False, "third": {}},
        {"init_lora_weights": "gaussian"},
        {"init_lora_weights": "eva", "eva_config": {"rho": 2}},
        {"layers_to_transform": [1], "layers_pattern": "h", "exclude_modules": ["x"]},
    ],
)
def test_what_changes_no_weights_is_passed_over(config, settings):
    assert config(**settings).rank("q_proj") == 4


def test_patterns_match_the_ends_of_names_in_order(config):
    found = config(
        rank_pattern={"^model.layers.0.q": 1, r"layers\.\d+\.q": 2, "q": 3}, alpha_pattern={"k": 1}
    )
    names = ["model.layers.0.q", "model.layers.1.q", "x.q", "xq", "a.k"]
    assert [found.rank(name) for name in names] == [1, 2, 3, 4, 4]
    assert [found.scale(name) for name in names] == [8, 4, 8 / 3, 2, 0.25]


def test_rslora_divides_by_the_root(config):
    assert config(use_rslora=True).scale("q") == 4


def test_defaults_are_those_of_peft(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    found = read_config(LocalTree(tmp_path, "adapter"))
    assert (found.rank("q"), found.scale("q"), found.base) == (8, 1.0, None)
