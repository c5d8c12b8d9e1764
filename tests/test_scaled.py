"""Scaled FP8: which tensors have it, what is written, and what others make of it."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    JambaConfig,
    LlamaConfig,
    MambaConfig,
    Qwen3MoeConfig,
    T5Config,
)

import mergegraph
from mergegraph import MergeGraphError, Spec
from mergegraph.models.scaled import SCALED, stored_dtype
from mergegraph.trust.verification import verify

LAYER = "model.layers.0"
BLOCK = [128, 128]
SIZES = {"vocab_size": 256, "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
LLAMA = LlamaConfig(**SIZES, intermediate_size=384, num_key_value_heads=2)
MOE = Qwen3MoeConfig(
    **SIZES,
    head_dim=64,
    num_key_value_heads=2,
    intermediate_size=128,
    moe_intermediate_size=128,
    num_experts=4,
    num_experts_per_tok=2,
)


def kind(config):
    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def model(path, config, seed=0):
    torch.manual_seed(seed)
    made = kind(config).from_config(config).to(torch.bfloat16)
    made.save_pretrained(path)
    return path


def merged(tmp_path, name, *models, more="", **options):
    listed = ", ".join(f"{{model: '{each}', parameters: {{weight: 1}}}}" for each in models)
    recipe = tmp_path / f"{name}.yaml"
    recipe.write_text(f"merge_method: linear\nmodels: [{listed}]\n{more}\n")
    mergegraph.run(recipe, out=tmp_path / name, **options)
    return tmp_path / name


def tensors(path):
    return load_file(path / "model.safetensors")


def scheme(path):
    return json.loads((path / "config.json").read_text())["quantization_config"]


FP8 = "out_dtype: float8_e4m3fn"


@pytest.mark.parametrize(
    "name",
    ["mlp.up_proj", "self_attn.q_proj", "mlp.experts.3.down_proj", "mlp.gate_proj", "attn.out"],
)
def test_linear_layers_are_scaled(name):
    assert stored_dtype(f"{LAYER}.{name}.weight", Spec((128, 256), "float32"), None) == SCALED


@pytest.mark.parametrize(
    "name",
    [
        "model.embed_tokens.weight",
        "lm_head.weight",
        f"{LAYER}.mlp.gate.weight",
        f"{LAYER}.mlp.shared_expert_gate.weight",
        f"{LAYER}.block_sparse_moe.router.weight",
        f"{LAYER}.input_layernorm.weight",
        f"{LAYER}.mlp.up_proj.bias",
        f"{LAYER}.mlp.experts.gate_up_proj",
        "transformer.h.0.attn.c_attn.weight",
        "encoder.block.0.layer.1.DenseReluDense.wo.weight",
    ],
)
def test_other_tensors_stay_as_they_are(name):
    spec = Spec((128, 256), "float32")
    assert stored_dtype(name, spec, None) == "bfloat16"
    assert stored_dtype(name, spec, "float16") == "float16"


@pytest.mark.parametrize("shape", [(128,), (100, 128), (128, 129), (2, 128, 128), (0, 128)])
def test_matrices_that_blocks_do_not_fill_stay_as_they_are(shape):
    name = f"{LAYER}.mlp.up_proj.weight"
    assert stored_dtype(name, Spec(shape, "float32"), None) == "bfloat16"


@pytest.mark.parametrize("config", [LLAMA, MOE], ids=["llama", "qwen3_moe"])
def test_transformers_loads_what_is_written(tmp_path, config):
    one, other = (model(tmp_path / f"m{seed}", config, seed) for seed in range(2))
    scaled = merged(tmp_path, "scaled", one, other, more=FP8)
    plain = merged(tmp_path, "plain", one, other)
    loaded, told = AutoModelForCausalLM.from_pretrained(scaled, output_loading_info=True)
    assert not any(told.values())
    tokens = torch.arange(20)[None]
    exact = AutoModelForCausalLM.from_pretrained(plain)(tokens).logits
    assert (loaded(tokens).logits - exact).abs().max() < 0.15 * exact.abs().max()
    assert json.loads((scaled / "config.json").read_text())["dtype"] == "bfloat16"


TINY = {"vocab_size": 128, "num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4}
TIED = LlamaConfig(**TINY, intermediate_size=256, tie_word_embeddings=True)
JAMBA = JambaConfig(
    **TINY,
    intermediate_size=256,
    num_experts=2,
    expert_layer_offset=1,
    attn_layer_period=2,
    attn_layer_offset=1,
)
MAMBA = MambaConfig(vocab_size=128, hidden_size=128, num_hidden_layers=2)
T5 = T5Config(vocab_size=128, d_model=128, d_kv=32, d_ff=256, num_layers=2, num_heads=4)
ARCHITECTURES = [LLAMA, TIED, MOE, JAMBA, MAMBA, T5]


@pytest.mark.parametrize("config", ARCHITECTURES, ids=lambda each: each.model_type)
def test_transformers_computes_with_codes_where_there_are_some(tmp_path, monkeypatch, config):
    """As it does on a GPU: it would dequantise them elsewhere, and nothing would be seen."""
    quantizer = "transformers.quantizers.quantizer_finegrained_fp8.FineGrainedFP8HfQuantizer"
    monkeypatch.setattr(f"{quantizer}.validate_environment", lambda *_args, **_named: None)
    path = merged(tmp_path, "scaled", model(tmp_path / "m", config), more=FP8)
    loaded, told = kind(config).from_pretrained(path, output_loading_info=True)
    assert not any(told.values())
    modules = [(name, type(each).__name__) for name, each in loaded.named_modules()]
    found = tensors(path)
    with_codes = {name.removesuffix(".weight_scale_inv") for name in found if "_scale_inv" in name}
    fused = {name.partition(".experts.")[0] for name in with_codes if ".experts." in name}
    assert {name for name, each in modules if each == "FP8Linear"} == {
        name for name in with_codes if ".experts." not in name
    }
    experts = {name for name, each in modules if each.endswith("FP8Experts")}
    assert experts == {f"{name}.experts" for name in fused}


def test_what_is_written_is_read_as_the_same_numbers(tmp_path):
    scaled = merged(tmp_path, "scaled", model(tmp_path / "m", LLAMA), more=FP8)
    again = merged(tmp_path, "again", scaled, more="out_dtype: float32")
    loaded = AutoModelForCausalLM.from_pretrained(scaled).state_dict()
    read = tensors(again)
    assert all(each.bfloat16().equal(loaded[name]) for name, each in read.items())
    assert "quantization_config" not in json.loads((again / "config.json").read_text())


def test_codes_are_near_to_what_they_stand_for(tmp_path):
    one = model(tmp_path / "m", LLAMA)
    scaled, exact = tensors(merged(tmp_path, "scaled", one, more=FP8)), tensors(one)
    name = f"{LAYER}.mlp.up_proj.weight"
    scales = scaled[f"{name}_scale_inv"]
    assert scaled[name].dtype == torch.float8_e4m3fn
    assert scales.dtype == torch.float32
    spread = scales.repeat_interleave(128, 0).repeat_interleave(128, 1)
    off = (scaled[name].float() * spread - exact[name].float()).abs()
    assert (off <= (exact[name].float().abs() / 16).maximum(spread * 2**-9)).all()
    assert scaled[name].float().abs().max() == 448


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 2, "memory": "8MiB"}])
def test_bytes_are_the_same_however_it_is_run(tmp_path, options):
    one = model(tmp_path / "m", LLAMA)
    wanted = tensors(merged(tmp_path, "wanted", one, more=FP8))
    found = tensors(merged(tmp_path, "found", one, more=FP8, **options))
    assert wanted.keys() == found.keys()
    assert all(wanted[n].view(torch.uint8).equal(found[n].view(torch.uint8)) for n in wanted)


def test_scaled_and_plain_models_merge(tmp_path):
    one, other = (model(tmp_path / f"m{seed}", LLAMA, seed) for seed in range(2))
    scaled = merged(tmp_path, "scaled", one, more=FP8)
    plain = merged(tmp_path, "as_plain", scaled, more="out_dtype: float32")
    found = tensors(merged(tmp_path, "found", scaled, other, more="out_dtype: float32"))
    wanted = tensors(merged(tmp_path, "wanted", plain, other, more="out_dtype: float32"))
    assert all(each.equal(wanted[name]) for name, each in found.items())


def test_stages_see_what_would_be_read_again(tmp_path):
    one, other = (model(tmp_path / f"m{seed}", LLAMA, seed) for seed in range(2))
    scaled = merged(tmp_path, "scaled", one, more=FP8)
    wanted = merged(tmp_path, "wanted", scaled, other, more="out_dtype: float32")
    recipe = tmp_path / "stages.yaml"
    recipe.write_text(
        f"name: first\nmerge_method: linear\n{FP8}\n"
        f"models: [{{model: '{one}', parameters: {{weight: 1}}}}]\n---\n"
        "merge_method: linear\nout_dtype: float32\nmodels:\n"
        f"- {{model: first, parameters: {{weight: 1}}}}\n"
        f"- {{model: '{other}', parameters: {{weight: 1}}}}\n"
    )
    mergegraph.run(recipe, out=tmp_path / "found")
    found = tensors(tmp_path / "found")
    assert all(each.equal(found[name]) for name, each in tensors(wanted).items())


def test_a_stage_in_fp8_is_followed_by_one_that_says_nothing(tmp_path):
    one = model(tmp_path / "m", LLAMA)
    recipe = tmp_path / "stages.yaml"
    entry = "{{model: '{}', parameters: {{weight: 1}}}}"
    recipe.write_text(
        f"name: first\nmerge_method: linear\n{FP8}\nmodels: [{entry.format(one)}]\n---\n"
        f"merge_method: linear\nmodels: [{entry.format('first')}]\n"
    )
    mergegraph.run(recipe, out=tmp_path / "found")
    assert scheme(tmp_path / "found")["weight_block_size"] == BLOCK
    name = f"{LAYER}.mlp.up_proj.weight_scale_inv"
    assert name in tensors(tmp_path / "found")


def test_how_much_is_scaled_is_noted(tmp_path):
    recipe = tmp_path / "r.yaml"
    entry = f"{{model: '{model(tmp_path / 'm', LLAMA)}', parameters: {{weight: 1}}}}"
    recipe.write_text(f"merge_method: linear\n{FP8}\nmodels: [{entry}]\n")
    note = next(each for each in mergegraph.plan(recipe).notes if "scaled" in each)
    assert note.endswith(": 14 matrices are stored as scaled float8_e4m3fn, 7 tensors are not")


def test_results_agree_with_their_manifest(tmp_path):
    scaled = merged(tmp_path, "scaled", model(tmp_path / "m", LLAMA), more=FP8)
    assert verify(scaled).differences == ()


def test_what_cannot_be_scaled_is_refused(tmp_path, checkpoint):
    with pytest.raises(MergeGraphError, match="no tensor is a matrix of a layer"):
        merged(tmp_path, "out", checkpoint("m", w=[[1.0]]), more=FP8)
    assert not (tmp_path / "out").exists()


def test_without_a_config_nobody_would_know(tmp_path, checkpoint):
    weights = {f"{LAYER}.mlp.up_proj.weight": torch.ones(128, 128)}
    file = checkpoint("m", weights) / "model.safetensors"
    with pytest.raises(MergeGraphError, match=r"needs a config\.json"):
        merged(tmp_path, "out", file, more=FP8)


def test_fp8_is_no_dtype_of_arithmetic(tmp_path, checkpoint):
    with pytest.raises(MergeGraphError, match="dtype 'float8_e4m3fn' is not one of"):
        merged(tmp_path, "out", checkpoint("m", w=[[1.0]]), more="dtype: float8_e4m3fn")


@pytest.mark.parametrize("policy", ["raise", "propagate"])
def test_what_is_not_finite_is_seen(tmp_path, checkpoint, policy):
    weights = torch.ones(128, 128)
    weights[0, 0] = float("inf")
    path = checkpoint("m", {f"{LAYER}.mlp.up_proj.weight": weights}, config={"model_type": "x"})
    more = f"{FP8}\non_nonfinite: {policy}"
    if policy == "raise":
        with pytest.raises(MergeGraphError, match="infinite"):
            merged(tmp_path, "out", path, more=more)
        return
    found = tensors(merged(tmp_path, "out", path, more=more))[f"{LAYER}.mlp.up_proj.weight"]
    assert found.float().isnan().sum() == 1
