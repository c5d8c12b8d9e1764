"""Mixtures of experts, loaded by transformers."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from mergegraph import moe, pipeline
from mergegraph.errors import MergeGraphError
from mergegraph.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore")
TWO = [("a", {"positive_prompts": ["w1 w2", "w3"]}), ("b", {"positive_prompts": ["w4 w5"]})]
NO_PROMPTS = [("a", {}), ("b", {})]
SHARED = [("base", {"positive_prompts": ["w9"]})]
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])


def made(path, out, **settings):
    prepared = moe.prepare(path, out=out, settings=Settings(**settings))
    pipeline.finish(prepared)
    return prepared


def loaded(path):
    """The mixture; fails if a tensor is missing, or not expected."""
    transformers = pytest.importorskip("transformers")
    model, lost = transformers.AutoModelForCausalLM.from_pretrained(
        path, output_loading_info=True, dtype=torch.float32
    )
    assert not any(lost.values())
    return model.eval()


@pytest.mark.parametrize("mode", ["random", "cheap_embed", "hidden", "hidden_avg"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("llama", "MixtralForCausalLM"),
        ("mistral", "MixtralForCausalLM"),
        ("qwen3", "Qwen3MoeForCausalLM"),
        ("qwen2", "Qwen2MoeForCausalLM"),
    ],
)
def test_transformers_loads_it_and_it_generates(kind, name, mode, dense, recipe, tmp_path):
    dense(kind, "a", "b")
    shared = {"shared": SHARED} if kind == "qwen2" else {}
    made(recipe(TWO, gate_mode=mode, **shared), tmp_path / "moe")
    model = loaded(tmp_path / "moe")
    assert type(model).__name__ == name
    assert model.generate(TOKENS, max_new_tokens=4, do_sample=False).shape == (1, 12)


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen3"])
def test_experts_that_are_the_base_are_the_base(kind, dense, recipe, tmp_path):
    base = dense(kind)["base"]
    twice = [("base", {"positive_prompts": ["w1"]}), ("base", {"positive_prompts": ["w2"]})]
    made(recipe(twice, gate_mode="cheap_embed"), tmp_path / "moe")
    with torch.no_grad():
        torch.testing.assert_close(loaded(tmp_path / "moe")(TOKENS).logits, base(TOKENS).logits)


def test_what_the_base_means_by_silence_is_said(dense, recipe, tmp_path):
    """Old configs of llama name no rope_theta, of which Mixtral would think otherwise."""
    base = dense("llama")["base"]
    path = tmp_path / "base" / "config.json"
    config = json.loads(path.read_text())
    for key in ("rope_theta", "rope_parameters", "rms_norm_eps", "num_key_value_heads"):
        config.pop(key, None)
    path.write_text(json.dumps({**config, "num_key_value_heads": 2}))
    twice = [("base", {}), ("base", {})]
    made(recipe(twice, gate_mode="random"), tmp_path / "moe")
    with torch.no_grad():
        torch.testing.assert_close(loaded(tmp_path / "moe")(TOKENS).logits, base(TOKENS).logits)


def test_weights_are_those_of_the_experts(dense, recipe, tmp_path):
    models = dense("llama", "a", "b")
    made(recipe(TWO, gate_mode="cheap_embed"), tmp_path / "moe")
    tensors = load_file(tmp_path / "moe" / "model.safetensors")
    for number, name in enumerate("ab"):
        mlp = models[name].model.layers[1].mlp
        place = f"model.layers.1.block_sparse_moe.experts.{number}"
        for word, dense_word in (("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")):
            own = getattr(mlp, dense_word).weight
            assert torch.equal(tensors[f"{place}.{word}.weight"], own)
    base = models["base"].state_dict()
    assert torch.equal(tensors["model.norm.weight"], base["model.norm.weight"])


def test_noise_and_scale(dense, recipe, tmp_path):
    models = dense("llama", "a", "b")
    experts = [("a", {"noise_scale": 0.1}), ("b", {"residual_scale": 0.5})]
    made(recipe(experts, gate_mode="random"), tmp_path / "moe")
    tensors = load_file(tmp_path / "moe" / "model.safetensors")
    place = "model.layers.0.block_sparse_moe.experts"
    mlps = [models[name].model.layers[0].mlp for name in "ab"]
    noise = tensors[f"{place}.0.w1.weight"] - mlps[0].gate_proj.weight
    assert abs(noise.std().item() - 0.1) < 0.01
    assert torch.equal(tensors[f"{place}.1.w2.weight"], mlps[1].down_proj.weight * 0.5)
    assert torch.equal(tensors[f"{place}.1.w3.weight"], mlps[1].up_proj.weight)


def test_bytes_are_the_same_for_a_seed(dense, recipe, tmp_path):
    dense("llama", "a", "b")
    path = recipe([("a", {"noise_scale": 0.1}), ("b", {})], gate_mode="random")
    made(path, tmp_path / "one", threads=1)
    made(path, tmp_path / "again", threads=2, memory="8MiB")
    made(path, tmp_path / "other", seed=1)
    one, again, other = (
        (tmp_path / each / "model.safetensors").read_bytes() for each in ("one", "again", "other")
    )
    assert one == again
    assert one != other


# -- gates -----------------------------------------------------------------------------------

GATE = "model.layers.{}.block_sparse_moe.gate.weight"


def test_cheap_gates_are_sums_of_embeddings(dense, recipe, tmp_path):
    embedding = dense("llama", "a", "b")["base"].get_input_embeddings().weight.detach()
    experts = [TWO[0], ("b", {"positive_prompts": ["w4 w4"], "negative_prompts": ["w5"]})]
    made(recipe(experts, gate_mode="cheap_embed"), tmp_path / "moe")
    gate = load_file(tmp_path / "moe" / "model.safetensors")[GATE.format(1)]
    sums = torch.stack([embedding[[1, 2, 3]].sum(0), 2 * embedding[4] - embedding[5]])
    torch.testing.assert_close(gate, sums / sums.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("mode", ["hidden", "hidden_last", "hidden_avg"])
def test_hidden_gates_are_states_that_enter_layers(mode, dense, recipe, tmp_path):
    base = dense("llama", "a", "b")["base"]
    experts = [TWO[0], ("b", {"positive_prompts": ["w4 w6"], "negative_prompts": ["w5"]})]
    made(recipe(experts, gate_mode=mode), tmp_path / "moe")
    tensors = load_file(tmp_path / "moe" / "model.safetensors")

    def state(prompt, layer):
        with torch.no_grad():
            found = base(torch.tensor([prompt]), output_hidden_states=True).hidden_states[layer][0]
        return found.mean(0) if mode == "hidden_avg" else found[-1]

    for layer in (0, 1):
        rows = torch.stack(
            [
                (state([1, 2], layer) + state([3], layer)) / 2,
                state([4, 6], layer) - state([5], layer),
            ]
        )
        wanted = rows / rows.norm(dim=1, keepdim=True)
        torch.testing.assert_close(tensors[GATE.format(layer)], wanted)


def test_drawn_gates_are_spread_as_their_mode_says(dense, recipe, tmp_path):
    dense("llama", "a", "b")
    many = [("a", {}), ("b", {})] * 20
    for mode in ("random", "uniform_random"):
        made(recipe(many, gate_mode=mode), tmp_path / mode)
    drawn, even = (
        load_file(tmp_path / mode / "model.safetensors")[GATE.format(0)]
        for mode in ("random", "uniform_random")
    )
    assert abs(drawn.std().item() - 1) < 0.1
    assert even.abs().max().item() <= 32**-0.5
    assert abs(even.std().item() - (3 * 32) ** -0.5) < 0.02


def test_equal_prompts_are_told_of(dense, recipe, tmp_path):
    dense("llama", "a", "b")
    same = [("a", {"positive_prompts": ["w1"]}), ("b", {"positive_prompts": ["w1"]})]
    notes = moe.prepare(recipe(same, gate_mode="cheap_embed"), out=tmp_path / "moe").notes
    assert any("experts 0 and 1 have the same prompts" in each for each in notes)


@pytest.mark.parametrize("mode", ["cheap_embed", "hidden", "hidden_avg"])
def test_prompts_that_cancel_out_are_refused(mode, dense, recipe, tmp_path):
    dense("llama", "a", "b")
    same = {"positive_prompts": ["w4"], "negative_prompts": ["w4"]}
    with pytest.raises(MergeGraphError, match="prompts cancel out"):
        moe.prepare(recipe([TWO[0], ("b", same)], gate_mode=mode), out=tmp_path / "moe")


def test_prompts_that_cancel_out_in_a_layer_are_told_of(dense, recipe, tmp_path):
    dense("llama", "a", "b")
    ends = {"positive_prompts": ["w1 w4"], "negative_prompts": ["w2 w4"]}
    notes = moe.prepare(
        recipe([TWO[0], ("b", ends)], gate_mode="hidden"), out=tmp_path / "moe"
    ).notes
    assert any("cancel out in some layer" in each for each in notes)


@pytest.mark.parametrize("mode", ["cheap_embed", "hidden"])
def test_tokens_that_the_base_has_not_are_refused(mode, dense, recipe, tmp_path):
    dense("llama", "a", "b", vocab_size=5)
    with pytest.raises(MergeGraphError, match="the embedding has 5 rows"):
        moe.prepare(recipe([TWO[0], TWO[1]], gate_mode=mode), out=tmp_path / "moe")


def test_prompts_without_effect_are_told_of(dense, recipe, tmp_path):
    dense("llama", "a", "b")
    notes = moe.prepare(recipe(TWO, gate_mode="random"), out=tmp_path / "moe").notes
    assert any("prompts change nothing: gates are drawn" in each for each in notes)


# -- what is told, and refused ---------------------------------------------------------------


def test_every_tensor_is_accounted_for(dense, recipe, tmp_path):
    dense("llama", "a", "b")
    plan = moe.prepare(recipe(NO_PROMPTS, gate_mode="random"), out=tmp_path / "moe").plan
    base, *experts = plan.accounts
    assert all(".mlp." in name for name in base.left_out)
    assert not any(".mlp." in name for each in experts for name in each.left_out)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"intermediate_size": 64}, "made of models of one shape"),
        ({"num_hidden_layers": 3}, "has 3 layers, the base has 2"),
    ],
)
def test_experts_of_another_shape_are_refused(changes, fact, dense, recipe, tmp_path):
    dense("llama")
    (tmp_path / "base").rename(tmp_path / "kept")
    dense("llama", **changes)
    (tmp_path / "base").rename(tmp_path / "a")
    (tmp_path / "kept").rename(tmp_path / "base")
    path = recipe([("base", {}), ("a", {})], gate_mode="random")
    with pytest.raises(MergeGraphError, match=fact):
        moe.prepare(path, out=tmp_path / "moe")
    assert not (tmp_path / "moe").exists()


@pytest.mark.parametrize(
    ("kind", "keys", "fact"),
    [
        ("llama", {"shared": SHARED}, "mixtral has no shared experts"),
        ("qwen2", {}, "qwen2_moe has exactly one shared expert, 0 are given"),
        ("llama", {"architecture": "qwen3"}, "made of qwen3, the base is llama"),
        ("llama", {"architecture": "deepseek"}, "needs code from the Hub"),
        ("llama", {"architecture": "mixtrall"}, "did you mean 'mixtral'"),
    ],
)
def test_architectures_that_do_not_fit_are_refused(kind, keys, fact, dense, recipe, tmp_path):
    dense(kind, "a", "b")
    with pytest.raises(MergeGraphError, match=fact):
        moe.prepare(recipe(NO_PROMPTS, gate_mode="random", **keys), out=tmp_path / "moe")


def test_a_base_with_biases_has_no_place_in_mixtral(dense, recipe, tmp_path):
    dense("llama", "a", "b", attention_bias=True)
    with pytest.raises(
        MergeGraphError, match=r"no place for model.layers.0.self_attn.\w_proj.bias"
    ):
        moe.prepare(recipe(NO_PROMPTS, gate_mode="random"), out=tmp_path / "moe")


def test_a_base_that_is_not_dense_is_refused(checkpoint, recipe, tmp_path):
    config = {"model_type": "gpt2", "num_hidden_layers": 1}
    for name in ("base", "a", "b"):
        checkpoint(name, {"h.0.w": [1.0]}, config=config)
    with pytest.raises(MergeGraphError, match="base's model_type is gpt2"):
        moe.prepare(recipe(NO_PROMPTS, gate_mode="random"), out=tmp_path / "moe")


def test_a_missing_model_is_told_with_its_place(dense, recipe, tmp_path):
    dense("llama", "a")
    with pytest.raises(MergeGraphError, match=r"r.yaml:4:\d+: .*/b: no such directory"):
        moe.prepare(recipe(NO_PROMPTS, gate_mode="random"), out=tmp_path / "moe")


@pytest.mark.parametrize(
    "changes",
    [
        {"attn_implementation": "org/kernel"},
        {"_attn_implementation": {"": "org/kernel@v1:f"}},
        {"text_config": {"_experts_implementation": "org/kernel"}},
    ],
)
def test_hidden_gates_fetch_no_kernels_that_a_config_names(dense, recipe, tmp_path, changes):
    dense("llama", "a", "b")
    path = tmp_path / "base" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(MergeGraphError, match=r"org/kernel.* is code to be fetched"):
        moe.prepare(recipe(TWO, gate_mode="hidden"), out=tmp_path / "moe")


def test_hidden_gates_load_no_other_model_in_place_of_the_base(dense, recipe, tmp_path):
    """Which transformers would, by what an adapter's config says beside it."""
    dense("llama", "a", "b")
    told = {"base_model_name_or_path": "org/other", "peft_type": "LORA"}
    (tmp_path / "base" / "adapter_config.json").write_text(json.dumps(told))
    with pytest.raises(MergeGraphError, match="would have another one loaded"):
        moe.prepare(recipe(TWO, gate_mode="hidden"), out=tmp_path / "moe")
