"""Candidates of the Hub: of their files what is asked for is fetched."""

from safetensors.torch import load_file

from mergegraph.library import Library
from mergegraph.plugins import installed_plugins
from mergegraph.search.candidates import OnDisk
from mergegraph.settings import Settings


def test_a_model_of_the_hub_is_a_candidate(connected, family, tmp_path):
    stored = load_file(family[1] / "model.safetensors")
    library = Library(installed_plugins().sources)
    candidate = OnDisk("org/tuned-1", library, Settings(threads=1), scratch=tmp_path)
    with candidate:
        assert (candidate.files / "tokenizer.json").is_file()
        written = load_file(candidate.directory / "model.safetensors")
        names = {each.name for each in candidate.directory.iterdir()}
        assert candidate.tensors.keys() == written.keys() == stored.keys()
    assert all(written[name].equal(stored[name]) for name in stored)
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= names
