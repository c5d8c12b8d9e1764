"""Decoding: what codecs are asked, and what becomes of what they do not know."""

import pytest
import torch

from mergegraph import Codec, Decoded, MergeGraphError
from mergegraph.library import Library
from mergegraph.ops import scale


def opened(path, *decoders):
    codecs = [Codec(f"codec{i}", each) for i, each in enumerate(decoders)]
    return Library({}, codecs).shelf().model(str(path))


def doubling(name):
    """A codec of a scheme that stores half of every weight, and beside it what nobody needs."""

    def decode(tensors, config, read):
        if f"{name}.half" not in tensors:
            return {}
        uses, leaves = (f"{name}.half",), tuple({f"{name}.note"} & tensors.keys())
        return {name: Decoded(scale(tensors[f"{name}.half"], factor=2.0), uses, leaves)}

    return decode


SCHEME = {"quantization_config": {"quant_method": "halves"}, "dtype": "float16"}


def test_plain_tensors_stand_where_those_stood_that_they_are_made_of(checkpoint, whole):
    tensors = {"a": [1.0], "b.half": [2.0], "b.note": [0.0], "c": [3.0]}
    model = opened(checkpoint("m", tensors, config=SCHEME), doubling("b"))
    assert list(model.tensors) == ["a", "b", "c"]
    assert model.stored == {"a": "float32", "b": "float16", "c": "float32"}
    assert "quantization_config" not in model.config
    told = "1 tensors are dequantised (codec0); 1 such as b.note are left out"
    assert told in model.notes[0]


def test_files_that_tell_of_quantisation_are_left_behind(checkpoint):
    path = checkpoint("m", {"b.half": [2.0], "b.note": [0.0]}, config=SCHEME)
    for name in ("hf_quant_config.json", "tokenizer.json"):
        (path / name).write_text("{}")
    assert opened(path, doubling("b")).sides.names == ("tokenizer.json",)


def test_several_codecs_see_what_is_stored(checkpoint):
    tensors = {"a.half": [1.0], "a.note": [0.0], "b.half": [2.0], "b.note": [0.0]}
    model = opened(checkpoint("m", tensors, config=SCHEME), doubling("a"), doubling("b"))
    assert list(model.tensors) == ["a", "b"]


def test_a_model_that_is_not_quantised_is_left_alone(checkpoint):
    assert opened(checkpoint("m", a=[1.0]), doubling("b")).notes == ()


def test_bare_fp8_in_a_model_with_a_config_is_noted(checkpoint):
    tensors = {"a.weight": torch.ones(2, 2).to(torch.float8_e4m3fn)}
    notes = opened(checkpoint("m", tensors, config={"model_type": "llama"})).notes
    assert "1 tensors such as a.weight are FP8 without scales" in notes[0]
    assert opened(checkpoint("bare", tensors)).notes == ()


def test_a_scheme_that_no_codec_knows_is_refused(checkpoint):
    path = checkpoint("m", {"a": [1.0]}, config=SCHEME)
    with pytest.raises(MergeGraphError, match=r"/m: .*\(halves\), .*\(installed: codec0\); name"):
        opened(path, doubling("b"))


def test_a_scale_that_no_codec_used_is_refused(checkpoint):
    path = checkpoint("m", {"b.half": [1.0], "c.weight_scale": [1.0]}, config=SCHEME)
    with pytest.raises(MergeGraphError, match=r"/m: c\.weight_scale belongs to quantised weights"):
        opened(path, doubling("b"))


def test_tensors_are_read_at_once_if_they_are_small(checkpoint):
    def decode(tensors, config, read):
        assert read("a") == b"\x00\x00\x80?"
        read("b")

    path = checkpoint("m", {"a": [1.0], "b": [0.0] * 20000})
    with pytest.raises(MergeGraphError, match=r"/m: b: float32\[20000\] is too large"):
        opened(path, decode)


def test_a_codec_that_fails_is_named(checkpoint):
    def decode(tensors, config, read):
        return tensors["gone"]

    with pytest.raises(MergeGraphError, match="/m: codec codec0 failed: KeyError: 'gone'"):
        opened(checkpoint("m", a=[1.0]), decode)


@pytest.mark.parametrize(
    ("given", "fact"),
    [
        (lambda t: {"b": Decoded(t["a"], ("a",))}, "b: is stored already"),
        (lambda t: {"c": Decoded(t["a"], ("a", "gone"))}, "c: uses gone, which the checkpoint"),
        (lambda t: {"c": Decoded(t["a"], ("a",), ("gone",))}, "c: uses gone, which the checkpoint"),
        (lambda t: {"c": t["a"]}, "c: is no Decoded"),
        (lambda t: {"c": Decoded(t["a"], ())}, "c: has no tensor of its own"),
        (lambda t: {n: Decoded(t["a"], ("a",)) for n in "cd"}, "c: has no tensor of its own"),
        (lambda t: ["a"], "gave list in place of tensors by name"),
    ],
)
def test_what_a_faulty_codec_would_lose_is_refused(checkpoint, given, fact):
    with pytest.raises(MergeGraphError, match=f"/m: codec codec0: {fact}"):
        opened(checkpoint("m", a=[1.0], b=[2.0]), lambda tensors, config, read: given(tensors))
