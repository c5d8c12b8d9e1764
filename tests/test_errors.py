"""Remedies for words that nobody knows."""

import errno

import pytest

from mergegraph.errors import RunError, nearest, told_refusals

KNOWN = ["density", "gamma", "tsv_merge", "ties"]


def test_a_misspelt_word_comes_with_the_one_that_was_meant():
    assert nearest("densty", KNOWN) == "; did you mean 'density'?"
    assert nearest("tsv", KNOWN) == "; did you mean 'tsv_merge'?"


def test_other_words_come_with_all_that_are_known_or_nothing():
    assert nearest("x", KNOWN) == "; known: density, gamma, ties, tsv_merge"
    assert nearest("x", KNOWN, only_close=True) == ""
    assert nearest("", []) == ""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "refuses more memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "more memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "refuses more memory"),
        (RuntimeError("can't start new thread"), "refuses another thread"),
        (OSError(errno.EMFILE, "Too many open files", "x"), "refuses to open another file"),
        (OSError(errno.EIO, "Input/output error", "x"), "^x: Input/output error"),
    ],
    ids=str,
)
def test_what_the_system_refuses_is_a_sentence(error, told):
    with pytest.raises(RunError, match=told), told_refusals():
        raise error


def test_a_bug_stays_one():
    with pytest.raises(RuntimeError, match="a bug"), told_refusals():
        raise RuntimeError("a bug")
