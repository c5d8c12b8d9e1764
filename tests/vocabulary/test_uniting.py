"""Models over one vocabulary, from recipe to result."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_tokenizers import FOX, WORLD, bpe, words
from tokenizers import AddedToken, Tokenizer

import mergegraph
from mergegraph import MergeGraphError, plan

UNION = "tokenizer_source: union\n"


def embedding(result, name="model.embed_tokens.weight"):
    return load_file(result / "model.safetensors")[name]


def read(result, name):
    return json.loads((result / name).read_text())


def tokenizer(result):
    return Tokenizer.from_file(str(result / "tokenizer.json"))


def test_a_token_that_one_model_added_is_in_the_union(tokenized, merged):
    a, b = (
        tokenized("a", words("x", "y")),
        tokenized("b", words("x", "y", added=["<new>"]), start=10),
    )
    result = merged(a, b, more=UNION)
    # rows 0 to 2 are the mean of i and 10 + i; the base has no row 3: it is that of the other
    assert embedding(result)[:, 0].tolist() == [5, 6, 7, 13]
    assert embedding(result, "lm_head.weight")[:, 0].tolist() == [1005, 1006, 1007, 1013]
    assert read(result, "config.json")["vocab_size"] == 4
    assert tokenizer(result).encode("x <new> y").tokens == ["x", "<new>", "y"]


def test_rows_follow_their_tokens(tokenized, merged):
    a, b = tokenized("a", words("x", "y", "z")), tokenized("b", words("z", "y"), start=10)
    result = merged(a, b, more="tokenizer_source: base\n")
    # x: 1 and the base's 1, y: 2 and 12, z: 3 and 11
    assert embedding(result)[:, 0].tolist() == [5, 1, 7, 7]


def test_the_vocabulary_can_be_another_model_s(tokenized, merged):
    special = {"bos_token_id": 1, "eos_token_id": 2, "image_token_id": 3}
    a = tokenized(
        "a", words("x", "y", "z"), config=special, files={"generation_config.json": special}
    )
    theirs = {"bos_token_id": 2, "eos_token_id": [0, 1]}
    b = tokenized(
        "b",
        words("z", "y"),
        start=10,
        config=theirs,
        files={"tokenizer_config.json": {"model_max_length": 5}},
    )
    result = merged(a, b, more=f"tokenizer_source: {b}\n")
    assert embedding(result)[:, 0].tolist() == [5, 7, 7]
    assert tokenizer(result).get_vocab() == {"<unk>": 0, "z": 1, "y": 2}
    assert read(result, "tokenizer_config.json") == {"model_max_length": 5}
    told = {"bos_token_id": 2, "eos_token_id": [0, 1], "image_token_id": 1}
    assert read(result, "generation_config.json") == told
    assert {key: read(result, "config.json")[key] for key in told} == told


def test_padded_rows_are_kept(tokenized, merged):
    a = tokenized("a", words("x", "y"), rows=8)
    b = tokenized("b", words("x", "y", added=["<new>"]), rows=8, start=10)
    result = merged(a, b, more=UNION)
    assert embedding(result)[:, 0].tolist() == [5, 6, 7, 13, 9, 10, 11, 12]


def test_rows_are_padded_with_their_mean(tokenized, merged):
    a, b = tokenized("a", words("x", "y")), tokenized("b", words("x", "y"), start=10)
    result = merged(a, b, more="tokenizer: {source: base, pad_to_multiple_of: 4}\n")
    assert embedding(result)[:, 0].tolist() == [5, 6, 7, 6]
    assert read(result, "config.json")["vocab_size"] == 4


def test_models_of_one_vocabulary_are_left_as_they_are(tokenized, merged, tmp_path):
    a, b = tokenized("a", words("x")), tokenized("b", words("x"), start=10)
    merged(a, b, more=UNION)
    ops = {task.op.name.rpartition(".")[2] for task in plan(tmp_path / "recipe.yaml").plan.tasks}
    assert ops == {"load", "average", "count_nonfinite"}


def test_a_tied_head_stands_for_the_embedding(tokenized, merged):
    a = tokenized("a", words("x"), is_tied=True)
    b = tokenized("b", words("x", added=["<new>"]), start=10)
    result = merged(a, b, more=UNION)
    assert embedding(result, "lm_head.weight")[:, 0].tolist() == [505, 506, 1012]


def test_vectors_of_the_vocabulary_are_permuted(tokenized, merged):
    def biases(*values):
        return {
            "lm_head.bias": torch.tensor(values),
            "final_logits_bias": torch.tensor([values]),
        }

    a = tokenized("a", words("x", "y"), tensors=biases(0.0, 1, 2))
    b = tokenized("b", words("y", "x", "z"), tensors=biases(10.0, 11, 12, 13))
    result = merged(a, b, more="tokenizer_source: base\n")
    assert embedding(result, "lm_head.bias").tolist() == [5, 6.5, 6.5]
    assert embedding(result, "final_logits_bias").tolist() == [[5, 6.5, 6.5]]


def test_a_union_of_words_encodes(tokenized, merged):
    a, b = tokenized("a", bpe(FOX)), tokenized("b", bpe(WORLD))
    made = tokenizer(merged(a, b, more=UNION))
    assert made.encode("hello").tokens == ["hello"]
    assert made.encode("brown fox").tokens == bpe(FOX).encode("brown fox").tokens
    first = bpe(FOX).get_vocab()
    assert {token: made.get_vocab()[token] for token in first} == first


RULES = """
tokenizer:
  source: base
  tokens:
    <s>: {source: {kind: zero}, force: true}
    <a>: {source: {kind: model_token, model: %(b)s, token: y}}
    <b>: {source: {kind: model_token, model: %(b)s, token_id: 0}}
    y: {source: %(b)s, force: true}
"""


def test_rules_say_where_rows_are_taken_from(tokenized, merged):
    a = tokenized("a", words("x", "y", added=["<s>"]))
    b = tokenized("b", words("y", added=["<s>"]), start=10)
    result = merged(a, b, more=RULES % {"b": b})
    assert tokenizer(result).get_vocab() == {
        "<unk>": 0,
        "x": 1,
        "y": 2,
        "<s>": 3,
        "<a>": 4,
        "<b>": 5,
    }
    assert embedding(result)[:, 0].tolist() == [5, 1, 11, 0, 11, 10]


WRONG = [
    ("tokenizer_source: nowhere\n", "tokenizer source nowhere: not a model of this merge"),
    ("tokenizer: {tokens: {x: {source: nowhere}}}\n", "nowhere is not a model of this merge"),
    ("tokenizer: {tokens: {wat: {source: ~}}}\n", "token 'wat' is in no tokenizer of this merge"),
    ("tokenizer: {tokens: {wat: {source: %(a)s}}}\n", "'wat' is not in the tokenizer of"),
    ("tokenizer: {tokens: {x: {source: {kind: model_token, model: %(a)s, token_id: 99}}}}\n",
     "has 3 rows, no token_id 99; the last one is 2"),
    ("tokenizer: {tokens: {x: {source: {kind: model_token, model: %(a)s, token: yy}}}}\n",
     "'yy' is not in the tokenizer of"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "told"), WRONG)
def test_a_rule_that_cannot_be_followed_is_refused(tokenized, merged, more, told, tmp_path):
    a, b = tokenized("a", words("x", "y")), tokenized("b", words("x"))
    with pytest.raises(MergeGraphError, match=r"recipe.yaml:\d+:\d+: ") as error:
        merged(a, b, more=more % {"a": a, "b": b})
    assert told in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_model_without_a_tokenizer_is_refused_with_a_remedy(tokenized, merged):
    a, b = tokenized("a", words("x")), tokenized("b", words("x", "y"))
    (b / "tokenizer.json").rename(b / "tokenizer.model")
    with pytest.raises(
        MergeGraphError, match=r"has tokenizer.model and no tokenizer.json to read; sa"
    ):
        merged(a, b, more=UNION)


def test_tokenizers_of_two_kinds_are_not_united(tokenized, merged):
    a, b = tokenized("a", bpe(FOX)), tokenized("b", words("word"))
    with pytest.raises(
        MergeGraphError, match=r"one is BPE, the other WordLevel.*set tokenizer_source"
    ):
        merged(a, b, more=UNION)


def test_tokens_added_to_tokenizers_of_two_kinds_are_united(tokenized, merged):
    letters = {token: i for i, token in enumerate(bpe(FOX).get_vocab())}
    a = tokenized("a", bpe(FOX, added=["<a>"]))
    b = tokenized("b", words(*letters, added=["<b>"]))
    with pytest.raises(MergeGraphError, match="cannot be united"):
        merged(a, b, more=UNION)  # <unk> is a word of it
    result = merged(a, b, more="tokenizer: {source: base, tokens: {<b>: {}}}\n")
    assert tokenizer(result).encode("fox<b>").tokens[-1] == "<b>"


def test_a_token_without_a_row_is_told_and_taken_for_missing(tokenized, merged, tmp_path):
    a = tokenized("a", words("x", added=["<pad>"]), rows=2)
    b = tokenized("b", words("x", added=["<pad>"]), start=10)
    assert embedding(merged(a, b, more=UNION))[:, 0].tolist() == [5, 6, 12]
    notes = "\n".join(plan(tmp_path / "recipe.yaml").plan.notes)
    assert "1 tokens such as '<pad>' have no row" in notes


STAGES = """
merge_method: linear
name: both
base_model: %(a)s
models: [{model: %(a)s, parameters: {weight: 1}}, {model: %(b)s, parameters: {weight: 1}}]
tokenizer_source: union
chat_template: chatml
dtype: float32
---
merge_method: linear
base_model: both
models: [{model: both, parameters: {weight: 1}}, {model: %(c)s, parameters: {weight: 1}}]
tokenizer_source: union
dtype: float32
"""


def test_a_stage_has_the_vocabulary_of_its_result(tokenized, merged, tmp_path):
    a = tokenized("a", words("x"))
    b = tokenized("b", words("x", added=["<b>"]), start=10)
    c = tokenized("c", words("x", added=["<c>"]), start=20)
    recipe = tmp_path / "stages.yaml"
    recipe.write_text(STAGES % {"a": a, "b": b, "c": c})
    mergegraph.run(recipe, out=tmp_path / "out")
    assert tokenizer(tmp_path / "out").get_vocab() == {"<unk>": 0, "x": 1, "<b>": 2, "<c>": 3}
    # of both: 5, 6, 12; the other has no <b>, which is the base's; <c> is the other's
    assert embedding(tmp_path / "out")[:, 0].tolist() == [12.5, 13.5, 12, 22]
    assert "<|im_start|>" in (tmp_path / "out" / "chat_template.jinja").read_text()
    ops = {task.op.name.rpartition(".")[2] for task in plan(recipe).plan.tasks}
    assert "gather" not in ops  # rows of a stage are made of rows


def test_results_do_not_depend_on_the_hash_seed(tokenized, tmp_path):
    a, b = tokenized("a", bpe(FOX)), tokenized("b", bpe(WORLD, added=["<b>", "<a>"]))
    recipe = tmp_path / "r.yaml"
    entries = "".join(f"- {{model: {each}, parameters: {{weight: 1}}}}\n" for each in (a, b))
    recipe.write_text(f"merge_method: linear\nmodels:\n{entries}{UNION}")
    found = []
    for seed in ("0", "1"):
        out = tmp_path / seed
        command = [sys.executable, "-m", "mergegraph", "run", recipe, "--out", out, "--quiet"]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        files = ("tokenizer.json", "config.json", "model.safetensors")
        found.append([(out / name).read_bytes() for name in files])
    assert found[0] == found[1]


def test_added_tokens_keep_their_flags(tokenized, merged):
    other = words("x")
    other.add_tokens([AddedToken("<l>", lstrip=True, single_word=True)])
    result = merged(tokenized("a", words("x")), tokenized("b", other), more=UNION)
    (found,) = read(result, "tokenizer.json")["added_tokens"]
    assert found["lstrip"]
    assert found["single_word"]
    assert found["id"] == 2


@pytest.mark.parametrize("memory", ["64MiB", "4GiB"])
def test_bytes_do_not_depend_on_the_budget(tokenized, merged, memory):
    a = tokenized("a", bpe(FOX), rows=2000, width=1100)
    b = tokenized("b", bpe(WORLD), start=10, rows=1500, width=1100)
    found = embedding(merged(a, b, more=UNION, memory=memory, threads=2))
    again = embedding(merged(a, b, more=UNION, memory="1GiB", threads=1))
    assert torch.equal(found, again)


def test_every_tensor_is_accounted_for(tokenized, merged, tmp_path):
    a, b = tokenized("a", words("x")), tokenized("b", words("x", added=["<b>"]))
    merged(a, b, more=UNION)
    accounts = plan(tmp_path / "recipe.yaml").plan.accounts
    assert [(each.read, each.left_out) for each in accounts] == [(3, ()), (3, ())]


def test_the_recipe_of_the_docs_runs(tokenized, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "tokenizers.md").read_text()
    (recipe,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    turns = ["<|im_start|>", "<|im_end|>"]
    tokenized("models/base", words("x"))
    tokenized("models/chat", words("x", added=turns), start=10)
    tokenized("models/code", words("x", added=turns), start=20)
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(recipe)
    mergegraph.run("recipe.yaml", out="out")
    found = tokenizer(Path("out")).get_vocab()
    assert list(found) != []
    rows = embedding(Path("out"))[:, 0].tolist()
    assert (found["<|im_end|>"], rows[found["<|im_end|>"]], rows[found["<|pad|>"]]) == (3, 13, 0)
    assert len(rows) == 64


def test_one_model_by_two_names_is_one(tokenized, merged):
    """It has its tokens once: the mean over those that have a token is not pulled to it."""
    a = tokenized("a", words("x"))
    b, c = (
        tokenized(name, words("x", added=["<t>"]), start=start)
        for name, start in (("b", 10), ("c", 40))
    )
    again = b.parent / "a" / ".." / "b"
    result = merged(a, b, again, c, more=UNION)
    assert embedding(result)[2, 0].item() == (27 + 12 + 12 + 42) / 4


def test_a_config_that_states_another_size_is_set_right(tokenized, merged):
    a = tokenized("a", words("x"), config={"vocab_size": 99})
    result = merged(a, tokenized("b", words("x", added=["<b>"])), more=UNION)
    assert read(result, "config.json")["vocab_size"] == 3
