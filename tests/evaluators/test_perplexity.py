"""Perplexity of local texts, against the plainest formula; and texts that have lines in common."""

import json
import math
import re
import sys

import pytest
import torch

from mergegraph.errors import MergeGraphError
from mergegraph.plugins import installed_plugins
from mergegraph.search.examining import check_apart, read_examination

transformers = pytest.importorskip("transformers")
TEXT = " ".join(f"w{i % 60}" for i in range(80))


@pytest.fixture
def write(tmp_path):
    def text(name, content):
        (tmp_path / name).write_text(content, encoding="utf-8")
        return tmp_path / name

    return text


@torch.no_grad()
def plainly(model, text, length, stride):
    """The mean of −log p over all tokens but the first, each with the context of its window."""
    made = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    ids = transformers.AutoTokenizer.from_pretrained(model)(text)["input_ids"]
    losses = []
    for place in range(1, len(ids)):
        windows = 0 if place < length else (place - length) // stride + 1
        context = ids[windows * stride : place]
        logits = made(torch.tensor([context])).logits[0, -1].double()
        losses.append(float(logits.logsumexp(0) - logits[ids[place]]))
    return losses


@pytest.mark.parametrize(("length", "stride", "batch"), [(64, 32, 8), (16, 5, 3)])
def test_every_token_counts_once_with_its_context(examined, write, tiny, length, stride, batch):
    words = f"perplexity,length={length},stride={stride},batch={batch}:{write('t.txt', TEXT)}"
    found = examined(words, tiny)
    losses = plainly(tiny, TEXT, length, stride)
    nbytes = len(TEXT) - len("w0")
    assert found["perplexity"] == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-5)
    assert found["bits_per_byte"] == pytest.approx(sum(losses) / math.log(2) / nbytes, rel=1e-5)


def test_it_keeps_its_word(write):
    from mergegraph.testing import check_evaluator

    perplexity = installed_plugins().evaluators["perplexity"]
    check_evaluator(perplexity, str(write("t.txt", TEXT)), length=64, stride=32)


def test_several_files_are_read_alone(examined, write, tiny):
    first, second = write("a.txt", TEXT), write("b.txt", TEXT)
    one = examined(f"perplexity,length=64,stride=32:{first}", tiny)
    both = examined(f"perplexity,length=64,stride=32:{first}+{second}", tiny)
    assert both == pytest.approx(one)


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("perplexity:nowhere.txt", "nowhere.txt: no such file of text"),
        ("perplexity,length=8,stride=8:{text}", "stride 8 leaves no context in windows of 8"),
        ("perplexity,device=cud:{text}", "device cud: torch finds none of that name here"),
        ("perplexity:{text}", "more than the 64 positions it has; write length=64"),
        ("perplexity,length=64,stride=32:{empty}", "empty.txt: holds no text"),
        ("perplexity,length=64,stride=32:{binary}", "is not text in UTF-8, from byte 0 on"),
    ],
)
def test_what_cannot_be_read_is_said(refused, write, tiny, tmp_path, words, told):
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    text, empty = write("t.txt", TEXT), write("empty.txt", "")
    assert told in refused(words.format(text=text, empty=empty, binary=binary), tiny)


def changed(model, **values):
    from pathlib import Path

    path = Path(model) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model_type": "t5"}, "t5 is no causal language model"),
        ({"model_type": "bert"}, "this bert is no causal language model: its tokens see those"),
        ({"model_type": "bert", "is_decoder": True}, "would make up bert.embeddings"),
        ({"model_type": "unheard"}, "transformers cannot load it"),
        ({"num_hidden_layers": 3}, "would make up model.layers.2.input_layernorm.weight"),
        ({"_attn_implementation": "org/kernels"}, "is code to be fetched, which is not run"),
    ],
)
def test_models_that_cannot_be_run_are_one_sentence(refused, write, tiny, values, told):
    changed(tiny, **values)
    assert told in refused(f"perplexity,length=64,stride=32:{write('t.txt', TEXT)}", tiny)


def test_weights_that_are_no_numbers_are_told(refused, write, tiny):
    from pathlib import Path

    from safetensors.torch import load_file, save_file

    path = Path(tiny) / "model.safetensors"
    save_file({**load_file(path), "model.norm.weight": torch.full((32,), math.nan)}, path)
    told = refused(f"perplexity,length=64,stride=32:{write('t.txt', TEXT)}", tiny)
    assert "gave nan for perplexity, which is no finite number" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("perplexity:{text}++", "t.txt++: a name is missing beside a +"),
        ("perplexity,threads=1000000:{text}", "threads 1000000: there are "),
        ("perplexity:{binary}", "is not text in UTF-8"),
        ("perplexity:{empty}", "empty.txt: holds no text"),
    ],
)
def test_words_of_no_use_are_refused_before_a_model_is_looked_at(write, tmp_path, words, told):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    files = {"text": write("t.txt", TEXT), "empty": write("empty.txt", "")}
    with pytest.raises(MergeGraphError, match=re.escape(told)):
        read_examination(words.format(binary=tmp_path / "binary", **files), installed_plugins())


def test_without_transformers_it_says_how_to_have_it(refused, write, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    told = refused(f"perplexity:{write('t.txt', TEXT)}", "demo:base")
    assert "perplexity needs transformers: pip install 'mergegraph[eval]'" in told


# -- lines in common -------------------------------------------------------------------------


def read(path):
    return read_examination(f"perplexity:{path}", installed_plugins())


def test_lines_in_common_are_told_in_numbers(write):
    first = write("a.txt", "A line that is long enough.\nAnother one of some length.\n\nshort\n")
    second = write("b.txt", "Another  one of some length.\nAnd one that is quite new.\nshort\n")
    told = r"1 of 3 pieces of perplexity:.*b.txt .* such as 'Another one of some length. #"
    with pytest.raises(MergeGraphError, match=told):
        check_apart(read(first), read(second))


def test_short_lines_count_where_there_are_no_others(write):
    first, second = write("a.txt", "a b\nc d\n"), write("b.txt", "c d\ne f\n")
    with pytest.raises(MergeGraphError, match="1 of 3 pieces"):
        check_apart(read(first), read(second))


def test_texts_without_a_line_in_common_are_apart(write):
    check_apart(read(write("a.txt", TEXT)), read(write("b.txt", TEXT[10:])))
