"""Models on a Hub that are measured: read in place, they come to the same as on disk."""

from __future__ import annotations

import pytest

from mergegraph import extract, kinship
from mergegraph.plugins import installed_plugins
from mergegraph.recipe import parse_recipe
from mergegraph.report import gathering, measuring
from mergegraph.settings import Settings

RECIPE = """
merge_method: ties
base_model: {0}/base
models: [{{model: {0}/tuned-1}}, {{model: {0}/tuned-2}}]
parameters: {{weight: 1, density: 0.5}}
"""


def related(place, settings):
    request = kinship.Request(f"{place}/base", (f"{place}/tuned-1", f"{place}/tuned-2"))
    return kinship.measure(kinship.survey(request, settings)).tensors


def extracted(place, settings):
    request = extract.Request(f"{place}/tuned-1", f"{place}/base")
    return extract.measure(extract.survey(request, settings))


def reported(place, settings):
    plugins = installed_plugins()
    recipe = parse_recipe("r.yaml", RECIPE.format(place), plugins.methods)
    looked = gathering.look(recipe, plugins, settings)
    base = looked.shelf.model(f"{place}/base")
    models = {name.rpartition("/")[2]: each for name, each in looked.inputs.items()}
    found = measuring.measure(measuring.survey(looked, models, base, settings))
    return found.family.tensors, found.kept


@pytest.mark.parametrize("measured", [related, extracted, reported])
def test_what_is_read_in_place_comes_to_what_it_is_on_disk(
    measured, hub, family, connected, tmp_path
):
    local = measured(family[0].parent, Settings(threads=2))
    assert measured("org", Settings(threads=2, stream=True)) == local
    assert not list((tmp_path / "hf").rglob("*.safetensors"))
    assert measured("org", Settings(threads=2)) == local
