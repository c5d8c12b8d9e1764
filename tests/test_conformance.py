"""Every installed method keeps its word, the bundled ones like everyone's."""

import pytest

from mergegraph.plugins import installed_plugins
from mergegraph.testing import check_method

METHODS = installed_plugins().methods


@pytest.mark.parametrize("name", METHODS)
def test_method_keeps_its_word(name):
    check_method(METHODS[name])


def test_no_installed_plugin_is_broken():
    assert installed_plugins().broken == ()
