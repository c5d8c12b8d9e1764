"""Adapters that were extracted, loaded by PEFT on the base they were made for."""

from __future__ import annotations

import json

import pytest
import torch

from mergegraph.extract import Request, Wishes, extract, measure, prepare, survey

peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

SIZES = {"num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50, "hidden_size": 32}
DENSE = {**SIZES, "intermediate_size": 48, "num_key_value_heads": 2}
EXPERTS = {"num_experts": 4, "moe_intermediate_size": 24, "num_experts_per_tok": 2}
CONFIGS = {
    "llama": ("LlamaConfig", DENSE),
    "tied": ("LlamaConfig", {**DENSE, "tie_word_embeddings": True}),
    "biases": ("Qwen2Config", DENSE),
    "turned": ("GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50,
                              "n_positions": 32, "bos_token_id": 1, "eos_token_id": 1}),
    "mixtral": ("MixtralConfig", {**DENSE, "num_local_experts": 4}),
    "qwen3_moe": ("Qwen3MoeConfig", {**DENSE, **EXPERTS}),
}  # fmt: skip
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6], [5, 3, 5, 8, 9, 7, 9, 3]])


@pytest.fixture
def pair(tmp_path):
    """Write a tiny base and a model tuned from it: `pair("llama")`; gives what the model says."""

    def write(name, spread=0.05, unlike="", dtype=torch.float32):
        torch.manual_seed(0)
        kind, values = CONFIGS[name]
        config = getattr(transformers, kind)(**values)
        model = transformers.AutoModelForCausalLM.from_config(config).to(dtype).eval()
        model.save_pretrained(tmp_path / "base")
        with torch.no_grad():
            for each, weight in model.named_parameters():
                if not unlike or unlike in each:
                    weight.add_(spread * torch.randn_like(weight))
            model.save_pretrained(tmp_path / "tuned")
            return model(TOKENS).logits

    return write


@pytest.fixture
def request_of(tmp_path):
    """A request for the pair: `request_of(max_rank=4)`."""

    def made(**wishes):
        return Request(str(tmp_path / "tuned"), str(tmp_path / "base"), Wishes(**wishes))

    return made


@pytest.fixture
def loaded(tmp_path):
    """The base with its adapter, as PEFT loads them; fails if a key of either is lost."""

    def load():
        base = transformers.AutoModelForCausalLM.from_pretrained(
            tmp_path / "base", dtype=torch.float32
        )
        model = peft.PeftModel.from_pretrained(base, tmp_path / "lora")
        return model.eval()

    return load


def distance(first, second):
    return ((first - second).norm() / second.norm()).item()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("embed_lora", [False, True])
def test_at_full_rank_base_and_adapter_are_the_model(
    name, embed_lora, pair, request_of, loaded, tmp_path
):
    wanted = pair(name)
    extract(request_of(max_rank=64, embed_lora=embed_lora), out=tmp_path / "lora")
    model = loaded()
    with torch.no_grad():
        assert distance(model(TOKENS).logits, wanted) < 1e-5
        assert distance(model.merge_and_unload()(TOKENS).logits, wanted) < 1e-5


@pytest.mark.parametrize("rank", [1, 4, 8])
def test_at_a_rank_the_error_is_that_of_the_decomposition(rank, pair, request_of, loaded, tmp_path):
    pair("llama")
    extract(request_of(rank=rank), out=tmp_path / "lora")
    merged = loaded().merge_and_unload().state_dict()
    base, tuned = (
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path / each).state_dict()
        for each in ("base", "tuned")
    )
    for name in ("model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.up_proj.weight"):
        left, values, right = torch.linalg.svd(tuned[name] - base[name])
        best = (left[:, :rank] * values[:rank]) @ right[:rank]
        lost = (tuned[name] - base[name] - best).norm()
        assert (merged[name] - tuned[name]).norm() <= 1.02 * lost


def test_ranks_differ_where_energy_says_so(pair, request_of, loaded, tmp_path):
    pair("llama")
    made = survey(request_of(energy=0.7, max_rank=20))
    found = measure(made)
    prepared = prepare(made, found, out=tmp_path / "lora")
    config = json.loads(prepared.plan.directories[0].sides.texts["adapter_config.json"])
    assert config["rank_pattern"]
    assert config["alpha_pattern"] == config["rank_pattern"]
    for name, measured in found.items():
        rank = config["rank_pattern"].get(name.removesuffix(".weight"), config["r"])
        if measured.values and rank < 20:
            held = sum(value**2 for value in measured.values[:rank]) / measured.change**2
            assert held >= 0.7
            less = sum(value**2 for value in measured.values[: rank - 1]) / measured.change**2
            assert less < 0.7


def test_what_is_not_asked_for_is_left_out_and_told(pair, request_of, tmp_path):
    pair("llama")
    made = survey(request_of(include=(r"q_proj$",)))
    notes = prepare(made, measure(made), out=tmp_path / "lora").notes
    told = [each for each in notes if each.startswith("left out: model.norm.weight")]
    assert len(told) == 1
    assert "not asked for; it is" in told[0]


def test_equal_tensors_are_left_out_and_told(pair, request_of, loaded, tmp_path):
    wanted = pair("llama", unlike="mlp")
    made = survey(request_of(max_rank=64))
    prepared = prepare(made, measure(made), out=tmp_path / "lora")
    names = {each.name.split(".")[-3] for each in prepared.plan.outputs}
    assert names == {"gate_proj", "up_proj", "down_proj"}
    assert any(each.startswith("left out, equal to the base: ") for each in prepared.notes)
    extract(made.request, out=tmp_path / "lora")
    with torch.no_grad():
        assert distance(loaded()(TOKENS).logits, wanted) < 1e-5


def test_a_head_that_only_the_model_has_is_saved(pair, request_of, loaded, tmp_path):
    pair("tied")
    tuned = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "tuned")
    tuned.config.tie_word_embeddings = False
    tuned.lm_head.weight = torch.nn.Parameter(torch.randn(50, 32))
    tuned.save_pretrained(tmp_path / "tuned")
    made = survey(request_of(max_rank=64))
    prepared = prepare(made, measure(made), out=tmp_path / "lora")
    assert not any("lm_head" in each and "saved whole" not in each for each in prepared.notes)
    extract(made.request, out=tmp_path / "lora")
    with torch.no_grad():
        assert distance(loaded()(TOKENS).logits, tuned(TOKENS).logits) < 1e-5


def test_modules_can_be_saved_whole(pair, request_of, loaded, tmp_path):
    wanted = pair("llama")
    extract(request_of(max_rank=64, save_modules=("o_proj", "lm_head")), out=tmp_path / "lora")
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert "lm_head" in config["modules_to_save"]
    assert "o_proj" not in config["target_modules"]
    with torch.no_grad():
        assert distance(loaded()(TOKENS).logits, wanted) < 1e-5


def test_a_single_layer_is_named_in_full(pair, request_of, loaded, tmp_path):
    wanted = pair("llama", unlike="layers.1.mlp.up")
    extract(request_of(max_rank=64), out=tmp_path / "lora")
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["model.layers.1.mlp.up_proj"]
    with torch.no_grad():
        assert distance(loaded()(TOKENS).logits, wanted) < 1e-5


def test_the_scale_may_stand_in_one_factor(pair, request_of, loaded, tmp_path):
    wanted = pair("llama")
    request = Request(**{**vars(request_of(max_rank=64)), "is_even": False})
    extract(request, out=tmp_path / "lora")
    with torch.no_grad():
        assert distance(loaded()(TOKENS).logits, wanted) < 1e-5


def test_a_larger_vocabulary_is_cut_to_the_base(pair, request_of, loaded, tmp_path):
    wanted = pair("llama")
    grown = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "tuned")
    grown.resize_token_embeddings(56)
    grown.save_pretrained(tmp_path / "tuned")
    made = survey(request_of(max_rank=64))
    prepared = prepare(made, measure(made), out=tmp_path / "lora")
    assert any("the last 6 are left out" in each for each in prepared.notes)
    extract(made.request, out=tmp_path / "lora")
    with torch.no_grad():
        assert distance(loaded()(TOKENS).logits, wanted) < 1e-5
