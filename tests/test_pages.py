"""The pages on methods that are committed are those that the methods give."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from mergegraph import hookimpl, method
from mergegraph.guide.pages import pages
from mergegraph.plugins import collect, installed_plugins

FOLDER = Path(__file__).parent.parent / "docs" / "methods"
STALE = "the pages on methods are not what the methods say; run make methods"


@pytest.fixture(scope="module")
def made():
    return pages(installed_plugins())


def test_every_bundled_method_has_its_page_and_nothing_else_has_one(made):
    assert sorted(made) == sorted(path.name for path in FOLDER.glob("*")), STALE


def test_the_pages_say_what_the_methods_say(made):
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    assert [name for name in made if found.get(name) != made[name]] == [], STALE


def test_methods_of_other_packages_have_no_page_here():
    @method
    def foreign(models): ...

    plugin = SimpleNamespace(merge_methods=hookimpl(lambda: [foreign]))
    assert list(pages(collect([("other 1.0", plugin)]))) == ["index.md"]


def test_signs_of_markdown_are_taken_for_themselves():
    @method
    def marked(models, *, weight: float = 1.0):
        """Take <b> of a_b*, and `x_y*`.

        weight: |x| of it.
        """
        return models[0]

    plugin = SimpleNamespace(merge_methods=hookimpl(lambda: [marked]))
    page = pages(collect([("mergegraph 1.0", plugin)]))["marked.md"]
    assert r"Take \<b> of a\_b\*, and `x_y*`." in page
    assert r"| `weight` | \|x\| of it. | a number | 1 |  |" in page
