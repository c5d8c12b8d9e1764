"""Depth up-scaling: ranges that are counted from the end of a model."""

from __future__ import annotations

import json

import pytest

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.testing import tiny_checkpoint


def planned(tmp_path, model, remove):
    recipe = tmp_path / "recipe.yaml"
    entry = {"model": str(model), "remove": remove}
    recipe.write_text(json.dumps({"merge_method": "passthrough", "depth_upscaling": entry}))
    return mergegraph.plan(recipe, out=tmp_path / "out").plan.directories[0]


def layers_of(directory) -> list[int]:
    """From which layer of the model each layer is taken."""
    name = "model.layers.{}.self_attn.q_proj.weight".format
    found = directory.explained
    numbers = range(sum(".self_attn.q_proj." in each for each in found))
    return [int(found[name(i)].parts[0].name.split(".")[2]) for i in numbers]


@pytest.mark.parametrize("remove", [0, 1, 2])
def test_two_copies_lack_the_last_and_the_first_layers(remove, tmp_path):
    count = 5
    model = tiny_checkpoint(tmp_path / "model", layers=count)
    directory = planned(tmp_path, model, remove)
    assert layers_of(directory) == [*range(count - remove), *range(remove, count)]
    assert directory.config["num_hidden_layers"] == 2 * (count - remove)


def test_more_layers_than_there_are_cannot_be_removed(tmp_path):
    model = tiny_checkpoint(tmp_path / "model", layers=2)
    with pytest.raises(MergeGraphError, match=r"yaml:1:\d+: .* has 2 layers: nothing is left"):
        planned(tmp_path, model, 2)


def test_a_model_whose_layers_cannot_be_told_is_refused(checkpoint, tmp_path):
    with pytest.raises(MergeGraphError, match=r"which layers of .* are meant is not clear"):
        planned(tmp_path, checkpoint("model", w=[1.0]), 1)


def test_parameters_hold_for_both_copies(tmp_path):
    model = tiny_checkpoint(tmp_path / "model", layers=3)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"""
merge_method: passthrough
depth_upscaling:
  model: {model}
  remove: 1
  parameters:
    scale: [{{filter: o_proj, value: 0.5}}, {{value: 1}}]
"""
    )
    found = mergegraph.plan(recipe, out=tmp_path / "out").plan.directories[0].explained
    scales = {each.values["scale"][0] for name, each in found.items() if "o_proj" in name}
    assert scales == {0.5}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{model: m}", "'remove' is missing"),
        ("{model: m, remove: -1}", "remove -1 is not at least 0"),
        ("{model: m, remove: 1, drop: 2}", "unknown key 'drop'"),
    ],
)
def test_what_does_not_fit_is_told(entry, told, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"merge_method: passthrough\ndepth_upscaling: {entry}\n")
    with pytest.raises(MergeGraphError, match=told):
        mergegraph.plan(recipe)


def of_stacks(checkpoint, *names, **stated):
    return checkpoint("model", {name: [1.0] for name in names}, config=stated)


def sliced(tmp_path, model, module):
    recipe = tmp_path / "recipe.yaml"
    part = {"sources": [{"model": str(model), "layer_range": [0, 1]}]}
    modules = {module: {"slices": [part]}}
    recipe.write_text(json.dumps({"merge_method": "passthrough", "modules": modules}))
    return mergegraph.plan(recipe, out=tmp_path / "out").plan.directories[0].explained


def test_numbers_with_gaps_are_no_layers_where_others_have_none(checkpoint, tmp_path):
    """As in a Sequential whose middle has no weights."""
    blocks = [f"visual.blocks.{i}.w" for i in range(3)]
    model = of_stacks(checkpoint, *blocks, "visual.mlp.0.w", "visual.mlp.2.w", depth=3)
    kept = {name for name in sliced(tmp_path, model, "visual") if ".blocks." in name}
    assert kept == {"visual.blocks.0.w"}


def test_only_the_stacks_of_a_module_are_told(checkpoint, tmp_path):
    names = ("model.layers.0.w", "visual.one.0.w", "visual.other.0.w")
    model = of_stacks(checkpoint, *names, depth=1)
    with pytest.raises(
        MergeGraphError, match=r"not clear \(visual.one \(1\), visual.other \(1\)\)"
    ):
        sliced(tmp_path, model, "visual")
