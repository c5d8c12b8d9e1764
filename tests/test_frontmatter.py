"""Front matter: read without trust, and written so that others read the same."""

from __future__ import annotations

import pytest
import yaml

from mergegraph.provenance.frontmatter import front_matter, parse_card


def test_data_and_text_are_told_apart():
    assert parse_card("---\nlicense: mit\n---\n# A\n---\nb") == ({"license": "mit"}, "# A\n---\nb")
    assert parse_card("---\r\nlicense: mit\r\n---\r\n# A") == ({"license": "mit"}, "# A")


@pytest.mark.parametrize(
    "text",
    ["", "# A", "---\nno end", "---\n- a\n---\n", "---\n: : :\n\t{\n---\n", "---\n---\n"],
)
def test_what_is_none_is_empty(text):
    assert parse_card(text)[0] == {}


def test_norwegian_is_a_language():
    assert parse_card("---\nlanguage: no\n---\n")[0] == {"language": "no"}
    assert yaml.safe_load(front_matter({"language": ["no"]}).strip("-\n")) == {"language": ["no"]}


def test_code_in_yaml_is_not_run():
    assert parse_card("---\na: !!python/object/apply:os.getcwd []\n---\n")[0] == {}


def test_what_is_written_is_read_as_it_was():
    data = {
        "license": "apache-2.0",
        "license_link": "#licence",
        "base_model": ["org/a", "a: b", "1.5", "it's", 'say "x"', "größe"],
        "odd": {"nested": [1, 2.5, None, True]},
    }
    text = front_matter({**data, "empty": None, "none": [], "blank": ""})
    assert yaml.safe_load(text.split("---")[1]) == data
    assert parse_card(text) == (data, "")
