"""YAML: what the words and numbers of a recipe mean, and what is no recipe's business."""

from __future__ import annotations

import math

import pytest

from mergegraph.errors import MergeGraphError
from mergegraph.recipe.reading import LARGEST, read_recipe
from mergegraph.recipe.source import read_documents


def value(text):
    return read_documents("r.yml", text)[0].data


def refusal(text):
    with pytest.raises(MergeGraphError) as caught:
        read_documents("r.yml", text)
    return str(caught.value)


# -- words and numbers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1", 1),
        ("-1", -1),
        ("+1", 1),
        ("0", 0),
        ("0o17", 15),
        ("0xFf", 255),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-.5e+1", -5.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("1e999", math.inf),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("!!float 1", 1.0),
        ("!!str 1", "1"),
    ],
)
def test_numbers_and_switches_are_those_of_yaml_1_2(text, meaning):
    assert value(f"[{text or '~'}]") == [meaning]


@pytest.mark.parametrize(
    "word", ["no", "yes", "on", "off", "y", "010", "1_000", "1:30", "0b1", "-0x10", "2020-01-01",
             "1e", "e3", "1.2.3", "NaN", "inf", "TrUe", "nULL", "=", "1 2", "٣"]
)  # fmt: skip
def test_what_only_looks_like_a_number_or_a_switch_is_a_word(word):
    assert value(f"- {word}") == [word]


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, "9" * 21])
def test_a_number_beyond_all_use_is_infinite(number):
    assert value(f"[{number}]") == [math.inf]


def test_not_a_number_is_read_and_left_to_parameters_to_refuse():
    assert math.isnan(value("[.nan]")[0])


# -- anchors, aliases, merges ------------------------------------------------------------------


def test_an_alias_is_a_copy():
    found = value("a: &x {k: [1]}\nb: *x\n")
    assert found["b"] == {"k": [1]}
    assert found["b"]["k"] is not found["a"]["k"]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("{<<: {a: 1}, b: 2}", {"a": 1, "b": 2}),
        ("{<<: {a: 1}, a: 2}", {"a": 2}),
        ("{a: 2, <<: {a: 1}}", {"a": 2}),
        ("{<<: [{a: 1}, {a: 2, b: 3}]}", {"a": 1, "b": 3}),
        ("{<<: {<<: {a: 1}, b: 2}}", {"a": 1, "b": 2}),
        ("[<<]", ["<<"]),
    ],
)
def test_what_is_said_outright_wins_over_what_is_merged_in(text, meaning):
    document = read_documents("r.yml", text)[0]
    assert document.data == meaning
    assert not document.problems


@pytest.mark.parametrize("text", ["<<: 3", "<<: [3]", "<<: ~", "<<: word"])
def test_only_mappings_can_be_merged_in(text):
    found = read_documents("r.yml", text)[0].problems
    assert [str(each) for each in found] == ["r.yml:1:5: '<<' must name a mapping"]


def bomb(inner, fill):
    lines = [f"a0: &a0 {fill}"]
    lines += [f"a{i}: &a{i} " + inner(", ".join([f"*a{i - 1}"] * 10)) for i in range(1, 15)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb("[{}]".format, "[x]"),
        bomb("{{<<: [{}]}}".format, "{k: 1}"),
        "a: &a [*a]",
        "a: &a {b: *a}",
        "x: &x {<<: *x}",
        "[" * 60,
        "[" * 5000,
        "{a: " * 3000,
        "- " * 3000,
        "[" + "x," * 20_001 + "]",
    ],
)
def test_bombs_and_circles_are_refused_at_once(text):
    assert refusal(text + "]" * 60 if text == "[" * 60 else text).endswith("for a recipe")


# -- what is not YAML, and what is not a recipe's --------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: b: c", "1:5: not YAML: mapping values are not allowed here"),
        ("a: 1\n\tb: 1", r"2:1: not YAML: found character '\t' that cannot start any token"),
        ("a: [1\nb: 2", "2:2: not YAML: expected ',' or ']', but got ':'"),
        ("a: *b", "1:4: not YAML: found undefined alias 'b'"),
        ("a: 1\nb: \x07", r"2:4: not YAML: '\x07' may not stand here"),
        ("a: 1\n\0", r"2:1: not YAML: '\x00' may not stand here"),
        ('a: "\\ud800"', r"1:4: holds '\ud800', which cannot be printed"),
        ('a: "x\\0"', r"1:4: holds '\x00', which cannot be printed"),
        ('"\\e[2J": 1', r"1:1: holds '\x1b', which cannot be printed"),
        ("a: !!python/object:os.system x", "1:4: the tag !!python/object:os.system has no"),
        ("a: !!int x", "1:4: the tag !!int has no meaning here"),
        ("a: !!float x", "1:4: the tag !!float has no meaning here"),
        ("a: !thing {b: 1}", "1:4: the tag !thing has no meaning here"),
        ("a: !!set {b}", "1:4: the tag !!set has no meaning here"),
        ("a: !!python/tuple [b]", "1:4: the tag !!python/tuple has no meaning here"),
        ("a: !!binary aGk=", "1:4: the tag !!binary has no meaning here"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_line(text, told):
    assert refusal(text).startswith(f"r.yml:{told}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", "3:1: 'a' is given twice"),
        ("a: {b: [{c: 1, c: 1}]}", "1:16: 'c' is given twice"),
        ("a: {b: [{c: 1, 'c': 1}]}", "1:16: 'c' is given twice"),
        ("1: a\n'1': b", "2:1: '1' is given twice"),
        ("? [a]\n: 1", "1:3: a key must be a word"),
        ("? {a: 1}\n: 1", "1:3: a key must be a word"),
    ],
)
def test_keys_are_words_that_stand_once(text, told):
    assert [str(each) for each in read_documents("r.yml", text)[0].problems] == [f"r.yml:{told}"]


def test_documents_that_hold_nothing_do_not_count():
    text = "---\n---\na: 1\n---\n# nothing\n---\n~\n...\n---\nb: 1\n---\n"
    assert [each.data for each in read_documents("r.yml", text)] == [{"a": 1}, {"b": 1}]


def test_lines_are_counted_through_documents_and_line_ends():
    documents = read_documents("r.yml", "a: 1\r\n---\r\nb:\r\n  c: 2\r\n")
    assert documents[1].place(("b", "c"), key=True) == "r.yml:4:3"
    assert documents[1].place(("b", "c")) == "r.yml:4:6"


def test_the_place_of_what_is_not_there_is_that_of_its_holder():
    document = read_documents("r.yml", "a:\n  b: 1\n")[0]
    assert document.place(("a", "x", "y")) == "r.yml:2:3"


# -- files -------------------------------------------------------------------------------------

RECIPE = "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\nseed: x\n"


def test_a_byte_order_mark_is_no_part_of_the_recipe(tmp_path, methods):
    path = tmp_path / "r.yml"
    path.write_bytes(b"\xef\xbb\xbf" + RECIPE.replace("\n", "\r\n").encode())
    (problem,) = read_recipe(str(path), methods).problems
    assert problem.place == f"{path}:4:7"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no recipe"),
        (b"# nothing\n", "holds no recipe"),
        (b"---\n", "holds no recipe"),
        ("merge_method: é".encode("latin-1"), "cannot be read: not UTF-8 text"),
        ("merge_method: x".encode("utf-16"), "cannot be read: not UTF-8 text"),
        (b"#" * (LARGEST + 1), "too large for a recipe"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, methods, content, told):
    path = tmp_path / "r.yml"
    path.write_bytes(content)
    with pytest.raises(MergeGraphError) as caught:
        read_recipe(str(path), methods)
    assert str(caught.value) == f"{path}: {told}"


def test_a_recipe_that_is_not_there_is_refused(tmp_path, methods):
    for path, told in [(tmp_path / "x", "No such file or directory"), (tmp_path, "Is a directory")]:
        with pytest.raises(MergeGraphError, match=f"{path}: cannot be read: {told}"):
            read_recipe(str(path), methods)
