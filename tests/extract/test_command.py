"""Extracting adapters: what is written, what is told, what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from mergegraph.cli import app, main
from mergegraph.errors import MergeGraphError
from mergegraph.extract import Request, Wishes, extract, measure, prepare, survey
from mergegraph.settings import Settings
from mergegraph.trust.verification import verify

Q = "model.layers.0.self_attn.q_proj.weight"
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def pair(checkpoint):
    """A base and a model of some tensors: `pair({name: (base, model)})`; a request for them."""

    def write(tensors, wishes=None, config=CONFIG, **options):
        base = {name: each[0] for name, each in tensors.items() if each[0] is not None}
        model = {name: each[1] for name, each in tensors.items() if each[1] is not None}
        paths = [checkpoint(n, t, config=config) for n, t in (("tuned", model), ("base", base))]
        return Request(*map(str, paths), wishes or Wishes(), **options)

    return write


@pytest.fixture
def notes(tmp_path):
    """What is told of a request."""

    def told(request):
        made = survey(request)
        return prepare(made, measure(made), out=tmp_path / "lora").notes

    return told


def test_bytes_are_the_same_every_time(pair, tmp_path):
    request = pair({Q: (randn(300, 400), randn(300, 400, seed=1))}, Wishes(max_rank=4))
    for name, memory, threads in (("a", "1GiB", 1), ("b", "24MiB", 2)):
        settings = Settings(memory, threads)
        extract(request, out=tmp_path / name, settings=settings)
    first, second = (tmp_path / each / "adapter_model.safetensors" for each in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_another_seed_draws_another_sketch(pair, tmp_path):
    request = pair({Q: (randn(300, 400), randn(300, 400, seed=1))}, Wishes(max_rank=4))
    for name, seed in (("a", 0), ("b", 1)):
        extract(request, out=tmp_path / name, settings=Settings(seed=seed))
    first, second = (load_file(tmp_path / each / "adapter_model.safetensors") for each in "ab")
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_it_is_done_once_and_verified(pair, tmp_path):
    request = pair({Q: (randn(30, 40), randn(30, 40, seed=1))})
    extract(request, out=tmp_path / "lora")
    assert not verify(tmp_path / "lora").differences
    made = survey(request)
    again = prepare(made, measure(made), out=tmp_path / "lora")
    assert any("done already" in note for note in again.notes)


def test_the_adapter_names_its_base(pair, tmp_path):
    request = pair({Q: (randn(30, 40), randn(30, 40, seed=1))}, dtype="bfloat16")
    extract(request, out=tmp_path / "lora")
    config = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == request.base
    assert config["task_type"] == "CAUSAL_LM"
    card = (tmp_path / "lora" / "README.md").read_text()
    assert f"mergegraph extract-lora --model {request.model}" in card
    tensors = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    assert {each.dtype for each in tensors.values()} == {torch.bfloat16}
    assert not (tmp_path / "lora" / "config.json").exists()


def test_what_an_adapter_cannot_hold_is_told_with_its_distance(pair, notes):
    request = pair(
        {
            Q: (randn(30, 40), randn(30, 40, seed=1)),
            "model.layers.0.mixer.A_log": (torch.ones(4), torch.ones(4) * 1.5),
            "model.layers.0.mlp.experts.down_proj": (randn(2, 3, 4), randn(2, 3, 4, seed=1)),
            "model.layers.0.ids": (torch.arange(3), torch.arange(3) + 1),
            "only.base.weight": (torch.ones(2), None),
            "only.model.weight": (None, torch.ones(2)),
        }
    )
    told = "\n".join(notes(request))
    assert "A_log: a parameter of its own, which adapters do not hold; it is 50.00% from" in told
    assert "experts.down_proj: experts in one tensor" in told
    assert "whole numbers: model.layers.0.ids" in told
    assert "left out, the base has no such tensor: only.model.weight" in told
    assert "as in the base, the model has no such tensor: only.base.weight" in told


def test_norms_take_their_biases_along(pair, tmp_path):
    request = pair(
        {
            "ln.weight": (torch.ones(4), torch.ones(4)),
            "ln.bias": (torch.zeros(4), torch.ones(4)),
        }
    )
    extract(request, out=tmp_path / "lora")
    tensors = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    assert set(tensors) == {"base_model.model.ln.weight", "base_model.model.ln.bias"}


def test_convolutions_are_factored_over_their_first_axis(pair, tmp_path):
    request = pair({"conv.weight": (randn(8, 4, 3, 3), randn(8, 4, 3, 3, seed=1))}, Wishes(rank=8))
    extract(request, out=tmp_path / "lora")
    tensors = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    a, b = (tensors[f"base_model.model.conv.lora_{each}.weight"] for each in "AB")
    assert (a.shape, b.shape) == ((8, 4, 3, 3), (8, 8, 1, 1))
    made = torch.einsum("or,rikl->oikl", b[:, :, 0, 0], a)
    torch.testing.assert_close(
        made, randn(8, 4, 3, 3, seed=1) - randn(8, 4, 3, 3), atol=1e-5, rtol=0
    )


def test_bare_names_of_gpt2_get_what_modules_stand_under(pair, tmp_path):
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}
    name = "h.0.attn.c_attn.weight"
    request = pair({name: (randn(8, 24), randn(8, 24, seed=1))}, config=config)
    extract(request, out=tmp_path / "lora")
    tensors = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    shape = tensors["base_model.model.transformer.h.0.attn.c_attn.lora_A.weight"].shape
    assert shape == (8, 8)


# -- refusals --------------------------------------------------------------------------------


def test_equal_models_have_nothing_to_extract(pair, notes):
    request = pair({Q: (randn(3, 4), randn(3, 4))})
    with pytest.raises(MergeGraphError, match="nothing that an adapter could hold differs"):
        notes(request)


def test_other_shapes_are_refused_before_anything_is_read(pair):
    request = pair({Q: (randn(3, 4), randn(3, 5))})
    with pytest.raises(MergeGraphError, match=r"shapes differ: .* an adapter keeps its base's"):
        survey(request)


def test_models_without_a_tensor_in_common_are_refused(pair):
    request = pair({"a": (randn(3, 4), None), "b": (None, randn(3, 5))})
    with pytest.raises(MergeGraphError, match="no tensors in common"):
        survey(request)


def test_nan_is_told_with_the_tensor(pair, notes):
    request = pair({Q: (randn(30, 40), torch.full((30, 40), float("nan")))})
    with pytest.raises(MergeGraphError, match=rf"{Q}.*NaN or infinite"):
        notes(request)


def test_it_is_not_written_over_a_model(pair):
    request = pair({Q: (randn(3, 4), randn(3, 4, seed=1))})
    with pytest.raises(MergeGraphError, match="is an input; write somewhere else"):
        extract(request, out=request.base)


@pytest.mark.parametrize(
    ("wishes", "fact"),
    [
        ({"max_rank": 0}, "a rank of 0"),
        ({"rank": 0}, "a rank of 0"),
        ({"sv_epsilon": float("nan")}, "--sv-epsilon nan"),
        ({"energy": 1.5}, "--energy 1.5 is not above 0"),
        ({"rank": 3, "energy": 0.5}, "--rank and --energy"),
        ({"sv_epsilon": -1.0}, "--sv-epsilon -1 is below 0"),
        ({"include": ("[",)}, r"--include \[: not a regular expression"),
    ],
)
def test_what_cannot_be_asked_for(wishes, fact):
    with pytest.raises(MergeGraphError, match=fact):
        survey(Request("model", "base", Wishes(**wishes)))


@pytest.mark.parametrize(
    ("option", "wish"),
    [("--include", "include"), ("--exclude", "exclude"), ("--save-module", "save_modules")],
)
def test_what_names_no_module_is_refused(option, wish, pair):
    request = pair({Q: (randn(3, 4), randn(3, 4, seed=1))}, Wishes(**{wish: ("q_proj", "nope")}))
    with pytest.raises(MergeGraphError, match=f"{option} nope: matches no module"):
        survey(request)


def test_what_has_no_singular_value_above_the_least_is_left_out(pair, notes):
    near = {"model.norm.weight": (torch.ones(4), torch.zeros(4))}
    wishes = Wishes(sv_epsilon=1e9)
    told = notes(pair({Q: (randn(3, 4), randn(3, 4, seed=1)), **near}, wishes))
    assert any(f"left out: {Q}: no singular value is above 1e+09" in each for each in told)


def test_dtypes_are_known_words(pair, notes):
    with pytest.raises(MergeGraphError, match="--dtype half"):
        notes(pair({Q: (randn(3, 4), randn(3, 4, seed=1))}, dtype="half"))


# -- the command line ------------------------------------------------------------------------


def test_the_command_takes_mergekits_names(pair, tmp_path):
    head = {"lm_head.weight": (randn(30, 40), randn(30, 40))}
    request = pair({Q: (randn(30, 40), randn(30, 40, seed=1)), **head})
    given = ["extract-lora", "--model", request.model, "--base-model", request.base, "--out-path"]
    given += [str(tmp_path / "lora"), "--max-rank", "4", "--no-distribute-scale", "-q"]
    result = CliRunner().invoke(app, [*given, "--modules-to-save", "lm_head"])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "lora" / "adapter_config.json").read_text())["r"] == 4


def test_the_command_ends_with_a_sentence(pair, tmp_path, capsys):
    request = pair({Q: (randn(3, 4), randn(3, 4))})
    given = ["extract-lora", "--model", request.model, "--base", request.base, "--out"]
    with pytest.raises(SystemExit) as stopped:
        main([*given, str(tmp_path / "lora"), "-q"])
    assert stopped.value.code == 2
    assert "differs from" in capsys.readouterr().err
    assert not (tmp_path / "lora").exists()
