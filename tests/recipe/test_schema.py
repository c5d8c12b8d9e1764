"""The JSON Schema of recipes: editors say of a recipe what reading it says."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from mergegraph.recipe.schema import schema_text
from mergegraph.recipe.source import read_documents

LINEAR = "merge_method: linear\nmodels:\n- model: a\n  parameters: {weight: %s}\n"
TIES = "merge_method: ties\nbase_model: b\nmodels: [{model: a, parameters: {weight: 1}}]\n"


@pytest.fixture(scope="session")
def schema(methods):
    return json.loads(schema_text(methods))


@pytest.fixture(scope="session")
def accepts(schema):
    validator = jsonschema.Draft202012Validator(schema)
    return lambda text: validator.is_valid(read_documents("r.yml", text)[0].data)


def test_the_schema_is_one(schema):
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_schema_names_every_method_with_its_summary(schema, methods):
    named = schema["properties"]["merge_method"]["oneOf"]
    assert {each["const"]: each["description"] for each in named} == {
        name: each.summary for name, each in methods.items()
    }


ACCEPTED = [
    LINEAR % "1",
    LINEAR % "[0, 0.5]",
    LINEAR % "{filter: mlp, value: [0, 1]}",
    LINEAR % "[{filter: mlp, value: 1}, {value: 0}]",
    LINEAR % "1" + "parameters:\nbase_model:\n",
    TIES + "parameters: {density: 0.5, normalize: false, lambda: 2, int8_mask: true}\n",
    TIES + "parameters: {normalize: 1.0}\n",
    TIES + "tokenizer_source: union\nchat_template: '{{ x }}'\nseed: 3\nout: d\nname: x\n",
    TIES + "tokenizer: {source: base}\n",
    TIES + "tokenizer: {pad_to_multiple_of: 8, tokens: {x: {}, y: {source: a, force: true}}}\n",
    TIES + "tokenizer: {tokens: {x: {source: {kind: zero}}, y: {source: }}}\n",
    TIES + "tokenizer: {tokens: {x: {source: {kind: model_token, model: a, token: y}}}}\n",
    TIES + "tokenizer: {tokens: {x: {source: {kind: model_token, model: a, token_id: 3}}}}\n",
    TIES.replace("model: a", "model: {model: {path: a, revision: r}}"),
    TIES.replace("model: a", "model: 7"),
    "merge_method: passthrough\nslices:\n"
    "- sources: [{model: a, layer_range: [0, 2], parameters: {scale: 1.5}}]\n",
    "merge_method: linear\nmodules: {text: {models: [{model: a, parameters: {weight: 1}}]}}\n",
    "merge_method: slerp\nbase_model: a\nmodels: [{model: a}, {model: b}]\n"
    "parameters: {t: [{filter: self_attn, value: [0, 0.5, 1]}, {value: 0.5}]}\n",
]
REFUSED = [
    "merge_method: tise\nmodels: [{model: a}]\n",
    "models: [{model: a}]\n",
    LINEAR % "x",
    LINEAR % "[]",
    LINEAR % "1" + "weight: 1\n",
    LINEAR.replace("weight", "wieght") % "1",
    LINEAR % "1" + "parameters: {densty: 1}\n",
    LINEAR % "{valeu: 1}",
    TIES + "parameters: {density: 1.4}\n",
    TIES + "dtype: bf16\n",
    TIES + "seed: -1\n",
    TIES + "tokenizer: {sorce: union}\n",
    TIES + "tokenizer: {tokens: {x: {forse: true}}}\n",
    TIES + "tokenizer: {tokens: {x: {source: {kind: zeros}}}}\n",
    TIES + "tokenizer: {tokens: {x: {source: {kind: zero, model: a}}}}\n",
    TIES + "tokenizer: {tokens: {x: {source: {kind: model_token, model: a}}}}\n",
    TIES + "tokenizer: {tokens: {x: {source: {kind: model_token, token: a}}}}\n",
    TIES + "tokenizer: {tokens: {x: {source: {kind: model_token, model: a, token_id: -1}}}}\n",
    "merge_method: passthrough\nslices:\n- sources: [{model: a, layer_range: [0]}]\n",
    "merge_method: passthrough\nmodules: {layer_range: {modules: 1}}\n",
    "merge_method: passthrough\nslices:\n"
    "- sources: [{model: a, layer_range: [0, 1], parameters: {scael: 1}}]\n",
    "merge_method: linear\nmodules: {text: {models: [{model: a, parameters: {t: 1}}]}}\n",
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_reading_accepts_the_schema_accepts(read, accepts, text):
    assert read(text).problems == ()
    assert accepts(text)


@pytest.mark.parametrize("text", REFUSED)
def test_what_reading_refuses_for_its_words_the_schema_refuses(read, accepts, text):
    assert read(text).problems
    assert not accepts(text)


# -- recipes nobody would write ----------------------------------------------------------------

KEYS = st.sampled_from(
    [
        *("merge_method", "models", "slices", "modules", "base_model", "parameters", "dtype"),
        *("name", "out", "seed", "tokenizer", "on_missing", "model", "sources", "layer_range"),
        *("weight", "density", "t", "filter", "value", "path", "lora", "revision", "source"),
        *("default", "residual_weight", "tokens", "what"),
    ]
)
LEAVES = st.sampled_from(["linear", "slerp", "a", "", None, 0, 1, -1, 0.5, True, [0, 1], {}])
VALUES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=4), max_leaves=9
)
NUMBERS = st.sampled_from([0, 0.5, [0.1, 1], {"filter": "mlp", "value": 1}, True, "x", [], None])
SETS = st.none() | st.dictionaries(
    st.sampled_from(["weight", "normalize", "t", "scale", "what"]), NUMBERS, max_size=2
)
MODEL = st.sampled_from(["a", 7, 0.5, {"path": "a"}, {"model": {"path": "a"}, "lora": None}, None])
MODELS = st.lists(
    st.fixed_dictionaries({"model": MODEL}, optional={"parameters": SETS}), max_size=3
)
RANGES = st.sampled_from([[0, 2], [1, 2], [2, 1], [0.5, 1], [], None])
SOURCES = st.lists(
    st.fixed_dictionaries({"model": MODEL, "layer_range": RANGES}, optional={"parameters": SETS}),
    max_size=2,
)
SLICES = st.lists(
    st.fixed_dictionaries({"sources": SOURCES}, optional={"parameters": SETS, "base_model": MODEL}),
    max_size=2,
)
PARTS = st.fixed_dictionaries({}, optional={"models": MODELS, "slices": SLICES, "parameters": SETS})
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=6) | st.fixed_dictionaries(
    {"merge_method": st.sampled_from(["linear", "passthrough", "slerp", "?"])},
    optional={
        "models": MODELS,
        "slices": SLICES,
        "modules": st.dictionaries(st.sampled_from(["default", "text"]), PARTS, max_size=2),
        "parameters": SETS,
        "base_model": MODEL,
        "dtype": LEAVES,
        "seed": LEAVES,
        "name": LEAVES,
        "tokenizer": VALUES,
        "what": LEAVES,
    },
)


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(DOCUMENTS)
def test_every_recipe_is_read_or_told_what_is_wrong_and_the_schema_agrees(read, accepts, document):
    text = yaml.safe_dump(document)
    recipe = read(text)
    assert all(str(each).startswith("r.yml:") for each in recipe.problems)
    if not recipe.problems:
        assert recipe.result
        assert accepts(text)
