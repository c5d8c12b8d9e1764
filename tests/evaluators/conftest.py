"""What tests of evaluators have in common: examinations by words, of models by references."""

import pytest

from mergegraph.errors import MergeGraphError
from mergegraph.library import library_of
from mergegraph.plugins import installed_plugins
from mergegraph.search.candidates import OnDisk
from mergegraph.search.examining import read_examination
from mergegraph.settings import Settings
from mergegraph.testing import tiny_checkpoint

PLUGINS = installed_plugins()


@pytest.fixture
def tiny(tmp_path):
    return str(tiny_checkpoint(tmp_path / "tiny", hidden=32))


@pytest.fixture
def examined(tmp_path):
    """The scores of a model by some words."""

    def examine(words, reference):
        examination = read_examination(words, PLUGINS)
        library = library_of(PLUGINS)
        with OnDisk(str(reference), library, Settings(threads=1), scratch=tmp_path) as candidate:
            return examination.examine(candidate)

    return examine


@pytest.fixture
def refused(examined):
    """The sentence that there is in place of scores."""

    def refuse(words, reference):
        with pytest.raises(MergeGraphError) as found:
            examined(words, reference)
        [told] = found.value.args
        return told

    return refuse
