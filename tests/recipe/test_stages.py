"""The grammar: whatever a recipe gets wrong is told, each at its line, with the nearest word."""

from __future__ import annotations

import pytest

MODELS = "merge_method: linear\nmodels:\n"
SLICES = "merge_method: passthrough\nslices:\n"
TIES = "merge_method: ties\nbase_model: b\nmodels:\n- model: a\n  parameters: {weight: 1}\n"
ONE = "- {model: a, parameters: {weight: 1}}\n"
NO_MODEL = "model is not a model; give a path, or {model: {path: ...}}"
NOT_A_RANGE = "layer_range is not two whole numbers, [first, one after the last]"


# -- what is right -------------------------------------------------------------------------------


def test_a_recipe_of_models_is_one_slice_of_whole_models(read):
    recipe = read("""\
merge_method: slerp
base_model: a
models: [{model: a}, {model: b}]
parameters: {t: 0.5}
dtype: bfloat16
out_dtype: float16
seed: 3
out: d
""")
    stage = recipe.result
    (module,) = stage.modules
    (part,) = module.slices
    assert not recipe.problems
    assert (stage.method, stage.base, stage.dtype, stage.out_dtype) == (
        "slerp", "a", "bfloat16", "float16")  # fmt: skip
    assert (stage.seed, stage.out, stage.donor) == (3, "d", "a")
    assert [source.model for source in part.sources] == ["a", "b"]
    assert (module.prefix, part.length) == (None, None)


def test_an_architecture_that_is_overridden_changes_nothing_and_is_told(read):
    spelled = "{model: {path: a}, override_architecture: LlamaForCausalLM}"
    recipe = read(MODELS + f"- model: {spelled}\n  parameters: {{weight: 1}}\n")
    assert not recipe.problems
    assert [source.model for source in recipe.result.modules[0].slices[0].sources] == ["a"]
    assert "override_architecture changes nothing" in recipe.notes[0]


def test_slices_keep_their_ranges_and_their_base(read):
    (part,) = (
        read(SLICES + "- sources: [{model: a, layer_range: [2, 5]}]\n  base_model: b\n")
        .result.modules[0]
        .slices
    )
    assert (part.sources[0].layers, part.length, part.base) == ((2, 5), 3, "b")


def test_modules_are_named_by_the_prefix_of_their_tensors(read):
    recipe = read(
        "merge_method: passthrough\nmodules:\n"
        "  model.vision: {models: [{model: a}]}\n  default: {models: [{model: b}]}\n"
    )
    assert [module.prefix for module in recipe.result.modules] == ["model.vision", None]


@pytest.mark.parametrize(
    ("given", "reference"),
    [
        ("a", "a"),
        ("7", "7"),
        ("007", "007"),
        ("no", "no"),
        ("{path: a}", "a"),
        ("{path: a, revision: r}", "a@r"),
        ("{model: {path: a, revision: ~}}", "a"),
        ("{model: a, lora: l}", "a+l"),
        ("{model: {path: a, revision: r}, lora: {path: l, revision: s}}", "a@r+l@s"),
        ("{model: {path: a}, lora: ~}", "a"),
    ],
)
def test_a_model_may_be_spelled_out_as_in_mergekit(read, given, reference):
    recipe = read(MODELS + f"- {{model: {given}, parameters: {{weight: 1}}}}\n")
    assert not recipe.problems
    assert recipe.result.donor == reference


def test_a_stage_may_be_named_like_a_method(read):
    recipe = read(MODELS + ONE + "name: linear\n---\n" + MODELS + ONE.replace("a,", "linear,"))
    assert not recipe.problems
    assert [stage.name for stage in recipe.stages] == ["linear", None]
    assert [stage.method for stage in recipe.stages] == ["linear", "linear"]


def test_a_word_that_yaml_1_1_takes_for_a_switch_can_be_a_name(read):
    assert read(MODELS + ONE + "name: no\n").stages[0].name == "no"


def test_what_changes_nothing_is_noted(read):
    recipe = read(SLICES + "- sources: [{model: a, layer_range: [0, 1]}]\n  residual_weight: 0.5\n")
    assert recipe.notes == ("r.yml:4:3: residual_weight changes nothing, in mergekit neither",)
    assert (
        read(TIES + "parameters: {int8_mask: true}\n")
        .notes[0]
        .startswith("r.yml:6:14: int8_mask changes nothing: ")
    )


# -- what is wrong -------------------------------------------------------------------------------

WRONG = [
    ("[]", "1:1: a recipe is a mapping: merge_method, models, ..."),
    ("word", "1:1: a recipe is a mapping: merge_method, models, ..."),
    ("models:\n" + ONE, "1:1: 'merge_method' is missing"),
    ("merge_method:\nmodels:\n" + ONE, "1:14: merge_method is empty"),
    ("merge_method: 3\nmodels:\n" + ONE, "1:15: merge_method 3 is not a word, put it in quotes"),
    (
        "merge_method: tise\nmodels:\n" + ONE,
        "1:15: no merge method 'tise' is installed; did you mean 'ties'?",
    ),
    ("merge_method: linear\n",
     "1:1: exactly one of models, slices, modules, depth_upscaling is needed, none is given"),
    (MODELS + ONE + "modules: {text: {models: [{model: a}]}}\n",
     "1:1: exactly one of models, slices, modules, depth_upscaling is needed, "
     "not models and modules"),
    ("merge_method: linear\nmodels: []\n", "2:9: models is empty"),
    ("merge_method: linear\nmodels: {model: a}\n", "2:9: models is not a list"),
    ("merge_method: linear\nmodels: a\n", "2:9: models 'a' is not a list"),
    (MODELS + "- a\n", "3:3: models 'a' is not a mapping"),
    (MODELS + "- {}\n", "3:3: 'model' is missing"),
    (MODELS + "- model:\n", "3:9: model is empty"),
    (MODELS + "- model: ''\n", "3:10: model is empty"),
    (MODELS + "- model: 1.5\n", "3:10: model 1.5 is not a word, put it in quotes"),
    (MODELS + "- model: true\n", "3:10: model true is not a word, put it in quotes"),
    (MODELS + "- model: [a]\n", "3:10: model is not a word"),
    (MODELS + "- model: {path: ''}\n", f"3:10: {NO_MODEL}"),
    (MODELS + "- model: {path: 3}\n", f"3:10: {NO_MODEL}"),
    (MODELS + "- model: {model: {path: a, revison: r}}\n", f"3:10: {NO_MODEL}"),
    (MODELS + "- model: {model: {path: a}, overide_architecture: x}\n", f"3:10: {NO_MODEL}"),
    (MODELS + "- {model: a, parameters: [1]}\n", "3:26: parameters is not a mapping"),
    (MODELS + "- {model: a, paramters: {weight: 1}}\n",
     "3:14: unknown key 'paramters'; did you mean 'parameters'?"),
    (MODELS + "- {model: a, weight: 1}\n",
     "3:14: unknown key 'weight'; it is a parameter, put it under 'parameters'"),
    (MODELS + "- {model: a, layer_range: [0, 1]}\n",
     "3:14: unknown key 'layer_range'; known: model, parameters"),
    (TIES + "density: 0.5\n",
     "6:1: unknown key 'density'; it is a parameter, put it under 'parameters'"),
    (TIES + "int8_mask: true\n",
     "6:1: unknown key 'int8_mask'; it is a parameter, put it under 'parameters'"),
    (TIES + "base_modle: c\n", "6:1: unknown key 'base_modle'; did you mean 'base_model'?"),
    (TIES.replace("base_model: b", "base_model: [b]"), "2:13: base_model is not a word"),
    (TIES + "dtype: bf16\n", "6:8: dtype 'bf16' is not one of float32, float16, bfloat16 or "
     "float64; did you mean 'bfloat16'?"),
    (TIES + "out_dtype: 16\n", "6:12: out_dtype 16 is not one of float32, float16, bfloat16, "
     "float64 or float8_e4m3fn"),
    (TIES + "on_missing: skp\n", "6:13: on_missing 'skp' is not one of error, skip, base or drop; "
     "did you mean 'skip'?"),
    (TIES + "on_vocab:\n", "6:10: on_vocab is empty"),
    (TIES + "seed: -1\n", "6:7: seed -1 is not at least 0"),
    (TIES + "seed: 1.0\n", "6:7: seed 1.0 is not a whole number"),
    (TIES + "seed: true\n", "6:7: seed true is not a whole number"),
    (TIES + "seed: '1'\n", "6:7: seed '1' is not a whole number"),
    (TIES + "name: ''\n", "6:7: name is empty"),
    (TIES + "name: 3\n", "6:7: name 3 is not a word, put it in quotes"),
    (TIES + "out: ''\n", "6:6: out is empty"),
    (TIES + "tokenizer: union\n", "6:12: tokenizer 'union' is not a mapping"),
    (TIES + "tokenizer: {sorce: union}\n", "6:13: unknown key 'sorce'; did you mean 'source'?"),
    (TIES + "tokenizer: {tokens: {x: {forse: true}}}\n",
     "6:26: unknown key 'forse'; did you mean 'force'?"),
    (TIES + "tokenizer: {tokens: {x: {source: {kind: nil}}}}\n",
     "6:34: source is not a model, {kind: zero}, or {kind: model_token, model, token | token_id}"),
    (TIES + "tokenizer: {tokens: {x: {source: {kind: model_token, model: a}}}}\n",
     "6:34: source of kind model_token needs a model, and either a token or a token_id"),
    (TIES + "tokenizer: {tokens: {x: ~}}\n", "6:25: x is empty"),
    (TIES + "tokenizer: {pad_to_multiple_of: 0}\n", "6:33: pad_to_multiple_of 0 is not at least 1"),
    (TIES + "tokenizer_source: a\ntokenizer: {source: b}\n",
     "7:1: give tokenizer or tokenizer_source, not both"),
    (SLICES + "- {}\n", "3:3: 'sources' is missing"),
    (SLICES + "- sources: []\n", "3:12: sources is empty"),
    (SLICES + "- sources: [{model: a}]\n", "3:13: 'layer_range' is missing"),
    (SLICES + "- sources: [{model: a, layer_range: 3}]\n", f"3:37: {NOT_A_RANGE}"),
    (SLICES + "- sources: [{model: a, layer_range: [1]}]\n", f"3:37: {NOT_A_RANGE}"),
    (SLICES + "- sources: [{model: a, layer_range: [0, 1, 2]}]\n", f"3:37: {NOT_A_RANGE}"),
    (SLICES + "- sources: [{model: a, layer_range: [0, 1.0]}]\n", f"3:41: {NOT_A_RANGE}"),
    (SLICES + "- sources: [{model: a, layer_range: [0, x]}]\n", f"3:41: {NOT_A_RANGE}"),
    (SLICES + "- sources: [{model: a, layer_range: [2, 2]}]\n",
     "3:37: layer_range [2, 2] is empty or negative; it is [first, one after the last]"),
    (SLICES + "- sources: [{model: a, layer_range: [-2, -1]}]\n",
     "3:37: layer_range [-2, -1] is empty or negative; it is [first, one after the last]"),
    (SLICES + "- sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 2]}]\n",
     "3:3: the sources of a slice differ in their number of layers"),
    (SLICES + "- sources: [{model: a, layer_range: [0, 1]}]\n  residual_weight: x\n",
     "4:20: residual_weight 'x' is not a number"),
    ("merge_method: linear\nmodules: {}\n", "2:10: modules is empty"),
    ("merge_method: linear\nmodules: {text: 3}\n", "2:17: text 3 is not a mapping"),
    ("merge_method: linear\nmodules: {text: {}}\n",
     "2:11: exactly one of models, slices is needed, none is given"),
    ("merge_method: linear\nmodules: {text: {models: []}}\n", "2:26: models is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_a_mistake_is_told_once_with_its_line(problems, text, told):
    assert problems(text) == [told]


def test_a_misspelt_key_that_must_be_there_is_told_from_both_sides(problems):
    assert problems(MODELS + "- modle: a\n") == [
        "3:3: 'model' is missing",
        "3:3: unknown key 'modle'; did you mean 'model'?",
    ]


def test_every_mistake_of_a_recipe_is_told_in_order(problems):
    text = """\
merge_method: ties
base_modell: base
models:
  - model: a
    parameters: {wieght: 0.3}
  - modle: b
    parameters:
      density: 1.4
      weight: [0.1, often]
  - 7
parameters:
  normalize: yes
  normalize: no
  lambda:
    - {filter: mlp, valeu: 1}
dtype: bf16
seed: -3
"""
    assert problems(text) == [
        "2:1: unknown key 'base_modell'; did you mean 'base_model'?",
        "5:18: ties has no parameter 'wieght'; did you mean 'weight'?",
        "6:5: 'model' is missing",
        "6:5: unknown key 'modle'; did you mean 'model'?",
        "8:16: density 1.4 is not between 0 and 1",
        "9:21: weight 'often' is not a number",
        "10:5: models 7 is not a mapping",
        "12:14: normalize 'yes' is not true or false",
        "13:3: 'normalize' is given twice",
        "15:7: a rule of lambda needs a value",
        "15:21: unknown key 'valeu'; did you mean 'value'?",
        "16:8: dtype 'bf16' is not one of float32, float16, bfloat16 or float64; "
        "did you mean 'bfloat16'?",
        "17:7: seed -3 is not at least 0",
    ]


def test_a_stage_that_cannot_be_made_out_is_no_unknown_model_to_others(read):
    """Stages that stand on a lost one are lost, too; they would only be told of twice."""
    broken = "name: x\nmerge_method: linear\nmodels: [3]\n---\n"
    then = MODELS + ONE.replace("a,", "x,") + "name: y\n---\n" + MODELS + ONE.replace("a,", "y,")
    recipe = read(broken + then + "---\n" + MODELS + ONE + "name: z\nout: d\n")
    assert [str(each) for each in recipe.problems] == ["r.yml:3:10: models 3 is not a mapping"]
    assert [stage.name for stage in recipe.stages] == ["z"]
