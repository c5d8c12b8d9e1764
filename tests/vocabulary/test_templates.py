"""Chat templates: which one a result has, and that all files agree on it."""

from __future__ import annotations

import json

import jinja2
import pytest
from tiny_tokenizers import words

from mergegraph import MergeGraphError
from mergegraph.vocabulary.templates import BUNDLED, with_template

TURNS = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Bye"},
]
WRITTEN = {
    "chatml": "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
    "<|im_start|>assistant\n",
    "llama3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "<s>[INST] Be kind.\n\nHi [/INST] Hello</s>[INST] Bye [/INST]",
    "alpaca": "<s>Be kind.\n\n### Instruction:\nHi\n\n### Response:\nHello</s>\n\n"
    "### Instruction:\nBye\n\n### Response:\n",
    "exaone": "[|system|]Be kind.[|endofturn|]\n[|user|]Hi\n[|assistant|]Hello[|endofturn|]\n"
    "[|user|]Bye\n[|assistant|]",
}


def rendered(text, turns, **more):
    made = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(text)
    return made.render(messages=turns, bos_token="<s>", eos_token="</s>", **more)


@pytest.fixture
def donor(tokenized, opened):
    return opened(tokenized("donor", words("x")))


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_templates_write_what_models_were_trained_on(donor, name):
    sides, _ = with_template(name, [donor], donor)
    text = sides.texts["chat_template.jinja"]
    assert rendered(text, TURNS, add_generation_prompt=True) == WRITTEN[name]


def test_alpaca_begins_with_its_own_words_if_nothing_is_said(donor):
    sides, _ = with_template("alpaca", [donor], donor)
    found = rendered(sides.texts["chat_template.jinja"], TURNS[1:2])
    assert found.startswith("<s>Below is an instruction that describes a task.")


def with_templates(tokenized, opened, *texts):
    models = []
    for i, text in enumerate(texts):
        files = {} if text is None else {"tokenizer_config.json": {"chat_template": text}}
        models.append(opened(tokenized(f"m{i}", words("x"), files=files)))
    return models


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (("{{1}}", "{{2}}", "{{2}} "), "{{2}}"),
        (("{{1}}", "{{2}}"), "{{1}}"),
        ((None, "{{2}}", "{{3}}"), "{{2}}"),
    ],
)
def test_auto_is_what_most_models_have(tokenized, opened, texts, told):
    models = with_templates(tokenized, opened, *texts)
    sides, notes = with_template("auto", models, models[0])
    assert sides.texts["chat_template.jinja"] == told
    assert "chat_template: that of" in notes[0]


def test_auto_of_models_without_any_is_none_and_told(donor):
    sides, notes = with_template("auto", [donor], donor)
    assert sides == donor.sides
    assert notes == ("chat_template: no model has one, so the result has none",)


def test_all_files_hold_one_template(tokenized, merged):
    old = [{"name": "default", "template": "{{1}}"}, {"name": "tools", "template": "{{2}}"}]
    files = {
        "tokenizer_config.json": {"chat_template": old, "model_max_length": 7},
        "chat_template.json": {"chat_template": "{{3}}"},
        "chat_template.jinja": "{{4}}",
    }
    result = merged(tokenized("a", words("x"), files=files), more='chat_template: "{{ 5 }}"\n')
    config = json.loads((result / "tokenizer_config.json").read_text())
    assert config == {"chat_template": "{{ 5 }}", "model_max_length": 7}
    assert json.loads((result / "chat_template.json").read_text()) == {"chat_template": "{{ 5 }}"}
    assert (result / "chat_template.jinja").read_text() == "{{ 5 }}"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("chatmll", "neither a known one nor the text of a template; did you mean 'chatml'?"),
        ("'{% if %}'", "chat_template is not Jinja: "),
    ],
)
def test_what_is_no_template_is_refused(tokenized, merged, given, told):
    with pytest.raises(MergeGraphError, match=r"recipe\.yaml:") as error:
        merged(tokenized("a", words("x")), more=f"chat_template: {given}\n")
    assert told in str(error.value)


def test_a_template_may_say_what_a_model_wrote(donor):
    text = "{% generation %}{{ x }}{% endgeneration %}{% break %}"
    text = "{% for x in messages %}" + text + "{% endfor %}"
    assert with_template(text, [donor], donor)[0].texts["chat_template.jinja"] == text
