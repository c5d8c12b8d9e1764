"""Merges put together: all tokens are reached, and texts are cut alike."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from mergegraph.vocabulary.merges import applied, completed, ranks_of, united

LETTERS = "abc"


@st.composite
def encodings(draw):
    """Merges in which every part is a letter or made before."""
    known = list(LETTERS)
    merges = []
    for _ in range(draw(st.integers(0, 6))):
        pair = (draw(st.sampled_from(known)), draw(st.sampled_from(known)))
        if pair not in merges and len("".join(pair)) <= 5:
            merges.append(pair)
            known.append("".join(pair))
    return merges


def vocabulary_of(*encodings):
    return {*LETTERS, *("".join(pair) for merges in encodings for pair in merges)}


def cut(text, merges):
    return applied(text, ranks_of(merges))


@given(merges=encodings(), text=st.text(LETTERS, min_size=1, max_size=12))
def test_texts_are_cut_as_the_library_cuts_them(merges, text):
    vocab = {token: i for i, token in enumerate(sorted(vocabulary_of(merges)))}
    made = Tokenizer.from_str(
        json.dumps({"version": "1.0", "model": {"type": "BPE", "vocab": vocab, "merges": merges}})
    )
    assert made.encode(text).tokens == cut(text, merges)
    assert isinstance(made.model, models.BPE)


@given(st.data(), encodings(), encodings(), encodings())
def test_texts_that_all_cut_alike_stay_as_they_are(data, first, second, third):
    """The first one's merges leave nothing, and what the others would merge was merged by them."""
    text = data.draw(st.text(LETTERS, min_size=1, max_size=12))
    shared = cut(text, first)
    if cut(text, second) == shared == cut(text, third):
        assert cut(text, united([first, second, third])) == shared


def wanted_of(*encodings):
    return {
        token: list(token)
        for merges in encodings
        for token in vocabulary_of(merges)
        if cut(token, merges) == [token]
    }


@given(encodings(), encodings())
def test_what_is_not_lost_is_reached(first, second):
    wanted = wanted_of(first, second)
    merges, lost = completed(united([first, second]), wanted, vocabulary_of(first, second))
    for token in wanted:
        assert (cut(token, merges) == [token]) == (token not in lost)


@given(encodings(), encodings())
def test_nothing_of_the_first_is_lost(first, second):
    _, lost = completed(
        united([first, second]), wanted_of(first, second), vocabulary_of(first, second)
    )
    assert not set(lost) & wanted_of(first).keys()


def test_a_merge_is_added_where_the_first_one_merges_otherwise():
    """The first makes ab of abc, the second bc and then abc."""
    merges, lost = completed(
        united([[("a", "b")], [("b", "c"), ("a", "bc")]]), {"abc": list("abc")}, {"abc", "ab", "bc"}
    )
    assert (merges[-1], lost) == (("ab", "c"), [])


def test_a_token_without_a_way_is_lost():
    _, lost = completed([("b", "c"), ("a", "b")], {"abcd": list("abcd")}, {"abcd", "bc"})
    assert lost == ["abcd"]
