"""Which row each token has: the table of docs/tokenizers.md, line by line."""

from __future__ import annotations

from mergegraph.rowmap import ABSENT
from mergegraph.vocabulary.choosing import ZERO, Chooser, Holder, Rule

BASE = Holder("base", {"a": 0, "b": 1}, 3)
FIRST = Holder("first", {"b": 0, "a": 1, "c": 2}, 3)
SECOND = Holder("second", {"a": 0, "c": 1, "d": 2}, 3)


def chosen(holder, tokens, rules=None):
    """The rows of a model, those of others as {(model, share): {place: row}}, and means."""
    choice = Chooser(tokens, [BASE, FIRST, SECOND], rules or {}, "base").of(holder)
    return list(choice.own), choice.others, list(choice.means)


def test_a_model_has_its_own_rows():
    assert chosen(FIRST, ["a", "b", "c"]) == ([1, 0, 2], {}, [])


def test_a_token_of_one_model_only_has_its_row():
    assert chosen(BASE, ["a", "d"]) == ([0, ABSENT], {("second", 1): {1: 2}}, [])


def test_the_base_stands_in_where_it_has_the_token():
    assert chosen(SECOND, ["b"]) == ([ABSENT], {("base", 1): {0: 1}}, [])


def test_without_the_base_it_is_the_mean_of_those_that_have_it():
    halves = {("first", 0.5): {1: 2}, ("second", 0.5): {1: 1}}
    assert chosen(BASE, ["a", "c"]) == ([0, ABSENT], halves, [])


def test_a_token_of_no_model_is_zero():
    assert chosen(BASE, ["a", "new"]) == ([0, ABSENT], {}, [])


def test_an_id_without_a_row_is_no_row():
    short = Holder("short", {"a": 0, "b": 7}, 3)
    choice = Chooser(["a", "b"], [BASE, short], {}, "base").of(short)
    assert (choice.own, choice.others) == ((0, ABSENT), {("base", 1): {1: 1}})


def test_a_rule_is_for_models_without_the_token():
    rules = {"d": Rule((("first", 0),)), "a": Rule(ZERO)}
    assert chosen(BASE, ["a", "d"], rules) == ([0, ABSENT], {("first", 1): {1: 0}}, [])


def test_a_forced_rule_is_for_all():
    assert chosen(BASE, ["a", "b"], {"a": Rule(ZERO, force=True)})[0] == [ABSENT, 1]


def test_a_rule_may_take_another_row_of_the_same_model():
    assert chosen(BASE, ["a"], {"a": Rule((("base", 1),), force=True)})[0] == [1]


def test_a_forced_token_without_a_rule_is_the_base_s_everywhere():
    assert chosen(FIRST, ["a"], {"a": Rule(None, force=True)})[1] == {("base", 1): {0: 0}}


def test_a_row_without_a_token_is_kept_where_there_is_one():
    assert chosen(BASE, ["a", "b", None, None]) == ([0, 1, 2, ABSENT], {}, [3])


def test_a_row_without_a_token_is_the_first_model_s_where_there_is_none():
    assert chosen(FIRST, ["a", "b", None])[:2] == ([1, 0, ABSENT], {("base", 1): {2: 2}})
