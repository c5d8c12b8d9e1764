"""Recipes of mergekit-moe: read strictly, every problem with its place."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from mergegraph.cli import app
from mergegraph.errors import ProblemsError
from mergegraph.moe import read_mixture

# as mergekit's documentation has it
WHOLE = """\
base_model: path/to/self_attn_donor
gate_mode: hidden # one of "hidden", "cheap_embed", or "random"
dtype: bfloat16
experts_per_token: 2
experts:
  - source_model: expert_model_1
    positive_prompts:
      - "This is a prompt that is demonstrative of what expert_model_1 excels at"
    negative_prompts:
      - "This is a prompt expert_model_1 should not be used for"
  - source_model: expert_model_2
    positive_prompts: ["w"]
    noise_scale: 0.1
    residual_scale: 1
shared_experts:
  - source_model: model_name
    positive_prompts:
      - "blah blah"
    residual_scale: 0.1
"""


@pytest.fixture
def problems(tmp_path, monkeypatch):
    """What is wrong with a recipe's text."""
    monkeypatch.chdir(tmp_path)

    def found(text):
        (tmp_path / "r.yml").write_text(text)
        with pytest.raises(ProblemsError) as raised:
            read_mixture("r.yml")
        return str(raised.value).splitlines()

    return found


def test_recipes_of_mergekit_are_read(tmp_path):
    (tmp_path / "r.yml").write_text(WHOLE)
    made = read_mixture(str(tmp_path / "r.yml"))
    assert [each.model for each in made.experts] == ["expert_model_1", "expert_model_2"]
    assert made.experts[1].noise == 0.1
    assert made.shared[0].scale == 0.1
    assert (made.gate_mode, made.per_token, made.dtype) == ("hidden", 2, "bfloat16")


EXPERTS = "base_model: b\ngate_mode: random\nexperts: [{source_model: a}, {source_model: c}]\n"


def test_defaults_are_those_of_mergekit(tmp_path):
    text = "base_model: b\nexperts: [{source_model: a, positive_prompts: [x]}]\n"
    (tmp_path / "r.yml").write_text(text + "experts_per_token: 1\n")
    assert read_mixture(str(tmp_path / "r.yml")).gate_mode == "hidden"


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        (EXPERTS + "gatemode: x\n", "4:1: unknown key 'gatemode'; did you mean 'gate_mode'?"),
        (EXPERTS.replace("a}", "a, positive: [x]}"), "did you mean 'positive_prompts'?"),
        (EXPERTS.replace("random", "randm"), "2:12: gate_mode 'randm' is not one of"),
        (EXPERTS + "experts_per_token: 3\n", "4:20: experts_per_token 3: there are 2 experts"),
        (EXPERTS.replace("random", "hidden"), "positive_prompts are missing: gate_mode hidden"),
        (EXPERTS.replace("base_model: b\n", ""), "'base_model' is missing"),
        (EXPERTS.replace("a}", "a, noise_scale: -1}"), "noise_scale -1 is not at least 0"),
        ("merge_method: linear\nmodels: [{model: a}]\n", "a recipe for `mergegraph run`"),
        ("- a\n", "a recipe is a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text, fact, problems):
    assert any(fact in each for each in problems(text)), problems(text)


def test_the_command_shows_a_plan_and_writes_nothing(dense, recipe, tmp_path):
    dense("llama", "a", "b")
    path = recipe([("a", {}), ("b", {})], gate_mode="random")
    given = ["moe", str(path), "--out", str(tmp_path / "moe")]
    shown = CliRunner().invoke(app, [*given, "--plan"])
    assert shown.exit_code == 0, shown.output
    assert "left out" in shown.output
    assert not (tmp_path / "moe").exists()
    assert CliRunner().invoke(app, [*given, "-q"]).exit_code == 0
    assert (tmp_path / "moe" / "model.safetensors").is_file()
