"""Markup: nothing from outside is ever more than text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from mergegraph.report.markup import element, joined, number, percent, shortened


class Reader(HTMLParser):
    """Gathers the elements and the text of a page."""

    def __init__(self):
        super().__init__()
        self.names, self.attributes, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def read(markup):
    reader = Reader()
    reader.feed(str(markup))
    reader.close()
    return reader


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text())
def test_no_text_becomes_an_element_or_an_attribute(inside, value):
    found = read(element("p", inside, data_tip=value))
    assert found.names == ["p"]
    assert [name for name, _ in found.attributes] == ["data-tip"]


@given(st.text(alphabet=st.characters(categories=["L", "P", "S"]), min_size=1))
def test_a_text_is_read_as_it_was(text):
    assert read(element("p", text)).text == text


def test_what_turns_a_line_round_is_told_as_an_escape():
    assert "\u202e" not in element("p", "a\u202eb")


def test_lists_are_opened_and_none_is_left_out():
    assert joined(["a", None, [element("b", "<")]]) == "a<b>&lt;</b>"


def test_numbers_are_short():
    told = [number(x) for x in (0.0, -0.0, 1.0, 12345.678, -0.5, 1e-9, float("nan"))]
    assert told == ["0", "0", "1", "12346", "−0.5", "1e−09", "–"]
    assert [percent(x) for x in (0, 1, 0.1234)] == ["0 %", "100 %", "12.3 %"]


def test_a_long_text_loses_its_middle():
    assert shortened("model.layers.3.weight", 9) == "mode…ight"
    assert len(shortened("x" * 99, 20)) == 20
