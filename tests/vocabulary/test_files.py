"""The files beside the weights, as other libraries read them."""

from __future__ import annotations

import json

import pytest
from tiny_tokenizers import FOX, WORLD, bpe, words

from mergegraph import MergeGraphError, plan

UNION = "tokenizer_source: union\n"
TOLD = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "model_max_length": 77,
}


def read(result, name):
    return json.loads((result / name).read_text())


def loaded(path):
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(path)


@pytest.fixture
def pair(tokenized):
    """Two models with byte-pair encodings, the second with a token for turns."""
    files = {"tokenizer_config.json": TOLD}
    turn = {**TOLD, "extra_special_tokens": ["<|turn|>"]}
    return (
        tokenized("a", bpe(FOX), files=files),
        tokenized("b", bpe(WORLD, added=["<|turn|>"]), files={"tokenizer_config.json": turn}),
    )


def test_transformers_reads_the_union(pair, merged):
    found = loaded(merged(*pair, more=UNION))
    assert found.tokenize("hello<|turn|>") == ["hello", "<|turn|>"]
    assert (found.eos_token, found.model_max_length) == ("</s>", 77)
    assert len(found) == max(found.get_vocab().values()) + 1
    assert found.decode(found("hello<|turn|>the dog").input_ids, skip_special_tokens=True) == (
        "hellothe dog"
    )


def test_transformers_reads_another_model_s(pair, merged):
    found = loaded(merged(*pair, more=f"tokenizer_source: {pair[1]}\n"))
    own = loaded(pair[1])
    assert found.get_vocab() == own.get_vocab()
    assert found("hello<|turn|>").input_ids == own("hello<|turn|>").input_ids


def test_texts_that_both_cut_alike_are_cut_alike_by_the_union(pair, merged):
    found, *own = (loaded(path) for path in (merged(*pair, more=UNION), *pair))
    texts = ["the", "the quick", "a b c", "12 + 3", "quick quick"]
    shared = [text for text in texts if own[0].tokenize(text) == own[1].tokenize(text)]
    assert len(shared) > 2
    for text in shared:
        assert found.tokenize(text) == own[0].tokenize(text)


def test_added_tokens_are_told_wherever_they_are_told(tokenized, merged):
    entry = {"content": "<one>", "special": True}
    files = {
        "tokenizer_config.json": {"added_tokens_decoder": {"2": entry}},
        "added_tokens.json": {"<one>": 2},
        "special_tokens_map.json": {"eos_token": "<one>"},
    }
    a = tokenized("a", words("x", added=["<one>"]), files=files)
    result = merged(a, tokenized("b", words("x", added=["<two>"])), more=UNION)
    assert read(result, "added_tokens.json") == {"<one>": 2, "<two>": 3}
    decoder = read(result, "tokenizer_config.json")["added_tokens_decoder"]
    assert {number: each["content"] for number, each in decoder.items()} == {
        "2": "<one>",
        "3": "<two>",
    }
    assert read(result, "special_tokens_map.json") == {"eos_token": "<one>"}


def listed(tokenizer):
    """The files that a byte-pair encoding had before tokenizer.json."""
    model = json.loads(tokenizer.to_str())["model"]
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    return {"vocab.json": model["vocab"], "merges.txt": "\n".join(lines) + "\n"}


def test_lists_of_words_and_merges_are_written_anew(tokenized, merged):
    from tokenizers import models

    a = tokenized("a", bpe(FOX), files=listed(bpe(FOX)))
    result = merged(a, tokenized("b", bpe(WORLD)), more=UNION)
    old = models.BPE.from_file(str(result / "vocab.json"), str(result / "merges.txt"))
    assert [each.value for each in old.tokenize("hello")] == ["hello"]


def test_lists_of_pieces_that_lack_words_are_left_out_and_told(tokenized, merged, tmp_path):
    a = tokenized("a", bpe(FOX), files={"tokenizer.model": "pieces"})
    result = merged(a, tokenized("b", bpe(WORLD)), more=UNION)
    assert not (result / "tokenizer.model").exists()
    notes = plan(tmp_path / "recipe.yaml").plan.notes
    assert any("tokenizer.model is left out, it lacks words" in each for each in notes)


def test_lists_of_pieces_stay_where_tokens_are_only_added(tokenized, merged):
    a = tokenized("a", words("x"), files={"tokenizer.model": "pieces"})
    result = merged(a, tokenized("b", words("x", added=["<b>"])), more=UNION)
    assert (result / "tokenizer.model").read_text() == "pieces"


def test_merges_at_odds_are_refused_with_a_remedy(tokenized, merged):
    """The first makes ab of every abc, and no word is abX: abcd of the other is out of reach."""
    a = tokenized("a", of_merges(("a", "b")))
    b = tokenized("b", of_merges(("b", "c"), ("bc", "d"), ("a", "bcd")))
    told = r"cannot be united: their merges are at odds, and 1 of 3 words such as 'abcd' would"
    with pytest.raises(MergeGraphError, match=told):
        merged(a, b, more=UNION)


def of_merges(*merges):
    from tokenizers import Tokenizer, models

    vocab = {token: i for i, token in enumerate(("a", "b", "c", "d"))}
    for pair in merges:
        vocab["".join(pair)] = len(vocab)
    return Tokenizer(models.BPE(vocab, list(merges)))


def test_generation_follows_the_tokenizer(tokenized, merged):
    held = {"eos_token_id": 2, "suppress_tokens": [1, 2], "decoder_start_token_id": 1, "top_k": 5}
    a = tokenized("a", words("x", "y"), files={"generation_config.json": held})
    theirs = {"eos_token_id": 0, "pad_token_id": 0}
    b = tokenized("b", words("y"), files={"generation_config.json": theirs})
    told = {"eos_token_id": 0, "suppress_tokens": [1], "decoder_start_token_id": None, "top_k": 5}
    result = merged(a, b, more=f"tokenizer_source: {b}\n")
    assert read(result, "generation_config.json") == {**told, "pad_token_id": 0}
