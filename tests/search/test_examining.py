"""Examinations are read from words, give checked scores, and keep chosen data from reporting."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from mergegraph import MergeGraphError, evaluator, hookimpl
from mergegraph.errors import RunError
from mergegraph.plugins import collect
from mergegraph.search.examining import (
    REPORTS,
    Objective,
    check_apart,
    objectives_of,
    read_examination,
    shared,
)

MODEL = SimpleNamespace(name="a model")


@evaluator(
    name="letters",
    splits=("abc", "xyz"),
    pieces=lambda data, *, twice: [*data, *data] if twice else list(data),
    main="length",
    lower_is_better=["losses"],
)
def letters(model, data, *, twice: bool = False, word: str = "", times: int = 1):
    """Count letters."""
    return {"length": len(data) * times, "losses": 1}


@evaluator(name="strange")
def strange(model, data):
    """Give what the data says, as Python."""
    return eval(data)


def offered(*evaluators, package="zoo 1.0"):
    return collect([(package, SimpleNamespace(evaluators=hookimpl(lambda: evaluators)))])


PLUGINS = offered(letters, strange)


def read(text, **options):
    return read_examination(text, PLUGINS, **options)


# -- words -----------------------------------------------------------------------------------


def test_splits_stand_in_for_data_that_is_not_named():
    assert (read("letters").data, read("letters", split=REPORTS).data) == ("abc", "xyz")


def test_words_hold_data_with_commas_colons_and_spaces():
    assert read("letters:a, b:c=d {model} 'e").data == "a, b:c=d {model} 'e"


def test_values_are_typed_by_the_parameters():
    values = read("letters,twice=true,word=7,times=3").values
    assert values == {"twice": True, "word": "7", "times": 3}


@pytest.mark.parametrize("word", ["@x", "*", "[1", "true", "~/x", "1e3", "%a"])
def test_what_yaml_reads_otherwise_may_be_a_word(word):
    found = read(f"letters,word={word}")
    assert found.values["word"] == word
    assert read(found.text) == found


def test_quotes_keep_what_would_divide():
    assert read("letters,word='a,b:c',times=2:x").values["word"] == "a,b:c"


@pytest.mark.parametrize(
    "text", ["letters", "letters,word='a,b:c', times=2 : xy", "letters,word='1':x"]
)
def test_canonical_words_say_the_same(text):
    found = read(text)
    assert read(found.text) == found
    assert read(found.text).digest == found.digest


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a name is missing"),
        ("leters:x", "did you mean 'letters'"),
        ("letters:", "data is missing"),
        ("strange", "needs data; write strange:DATA"),
        ("letters,time=3", "no parameter 'time'; did you mean 'times'"),
        ("letters,times=x", "times 'x' is not a whole number"),
        ("letters,times=1.5", "times 1.5 is not a whole number"),
        ("letters,times=", "times null is not a whole number"),
        ("letters,times", "'times' is not KEY=VALUE"),
        ("letters,times=1,times=2", "given twice"),
        ("letters,word='a", "a quote is not closed"),
        ("letters\x07", "cannot be printed"),
    ],
)
def test_what_is_wrong_with_words_is_said(text, told):
    with pytest.raises(MergeGraphError, match=told):
        read(text)


def test_evaluators_refuse_before_work():
    def check(data, *, size):
        raise MergeGraphError(f"{data}: no such file of {size}")

    @evaluator(check=check)
    def files(model, data, *, size: int = 4):
        """Look at files."""

    with pytest.raises(MergeGraphError, match="gone: no such file of 4"):
        read_examination("files:gone", offered(files))


@pytest.mark.parametrize("changed", ["letters:ab", "letters,times=2", "letters,twice=true:abc"])
def test_digests_tell_examinations_apart(changed):
    assert read(changed).digest != read("letters").digest


def test_digests_depend_on_the_package():
    other = read_examination("letters", offered(letters, package="zoo 1.1"))
    assert other.digest != read("letters").digest


# -- scores ----------------------------------------------------------------------------------


def test_scores_are_plain_numbers():
    assert read("strange:{'a': 1, 'b': 0.5}").examine(MODEL) == {"a": 1.0, "b": 0.5}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("{}", "gave no scores"),
        ("3", "gave int"),
        ("{'a': 'good'}", "gave a as str"),
        ("{'a': True}", "gave a as bool"),
        ("{'a': float('nan')}", "gave nan for a"),
        ("{'a': float('inf')}", "gave inf for a"),
        ("{1: 1}", "gave a score whose name is int, not str"),
        ("{'': 1}", "gave a score whose name is empty"),
        ("{'a\\ud800': 1}", r"gave a score named 'a\\ud800', which cannot be printed"),
        ("{'a\\u202e': 1}", r"gave a score named 'a\\u202e', which cannot be printed"),
        ("{'a': 10**400}", "gave a number for a that is too large for a float"),
        ("exec('raise GeneratorExit')", "failed: GeneratorExit"),
        ("1 / 0", "failed: ZeroDivisionError: division by zero"),
        ("exit(3)", "failed: SystemExit: 3"),
    ],
)
def test_no_scores_are_one_sentence(data, told):
    with pytest.raises(RunError, match=rf"strange on a model {told}") as found:
        read(f"strange:{data}").examine(MODEL)
    assert len(found.value.args) == 1


# -- what is looked for ----------------------------------------------------------------------


def test_the_main_score_is_looked_for():
    assert objectives_of(read("letters")) == (Objective("length", is_lower_better=False),)


def test_several_scores_may_be_looked_for():
    found = objectives_of(read("letters"), ["length"], ["losses"])
    assert [each.rank({"length": 3, "losses": 2}) for each in found] == [3, -2]


def test_without_a_main_score_one_is_to_be_named():
    with pytest.raises(MergeGraphError, match="--maximize NAME"):
        objectives_of(read("strange:x"))


def test_a_score_is_looked_for_once():
    with pytest.raises(MergeGraphError, match="twice"):
        objectives_of(read("letters"), ["length"], ["length"])


def test_a_score_that_is_not_there_is_told_with_the_nearest():
    with pytest.raises(RunError, match="did you mean 'length'"):
        Objective("lenght", is_lower_better=False).of({"length": 1.0})


# -- one data to choose, other data to report -------------------------------------------------


def test_splits_are_apart():
    check_apart(read("letters"), read("letters", split=REPORTS))


def test_the_same_data_is_refused_and_another_split_named():
    told = r"letters:abc chooses and reports.*letters:xyz.*--same-data"
    with pytest.raises(MergeGraphError, match=told):
        check_apart(read("letters"), read("letters"))


def test_data_in_common_is_told_in_numbers():
    told = "2 of 3 pieces of letters:bcd are in letters:abc too, such as 'b'"
    with pytest.raises(MergeGraphError, match=told):
        check_apart(read("letters"), read("letters:bcd"))


def test_other_parameters_do_not_make_other_data():
    assert shared(read("letters,times=2"), read("letters,twice=true:cd")) == ("c",)


def test_the_same_data_may_be_asked_for():
    check_apart(read("letters"), read("letters"), same_data=True)


def test_data_of_two_evaluators_has_nothing_in_common():
    other = replace(read("letters:abc"), evaluator=strange, values={})
    assert shared(read("letters:abc"), other) == ()
