"""Reproduction: results made again from their manifests, wherever one stands."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.cli import main
from mergegraph.provenance.manifest import MANIFEST, read_manifest
from mergegraph.testing import tiny_checkpoint, tiny_family
from mergegraph.trust.reproduction import repeating

DARE = """
merge_method: dare_ties
base_model: models/base
models: [{model: models/tuned-1}, {model: models/tuned-2}]
parameters: {weight: 1, density: 0.5}
seed: 3
"""
STAGES = """
name: average
merge_method: linear
models: [{model: models/tuned-1}, {model: models/tuned-2}]
parameters: {weight: 1}
out: average
---
name: pruned
merge_method: dare_linear
base_model: models/base
models: [{model: average}]
parameters: {weight: 1, density: 0.5}
seed: 5
out: pruned
---
merge_method: slerp
base_model: average
models: [{model: pruned}]
parameters: {t: 0.3}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a recipe about models that are beside it."""
    monkeypatch.chdir(tmp_path)
    tiny_family(tmp_path / "models")

    def made(text, out="out", **options):
        (tmp_path / f"{out}.yaml").write_text(text)
        mergegraph.run(f"{out}.yaml", out=out, **options)
        return tmp_path / out

    return made


def again(path, **options):
    with repeating(path, **options) as repeat:
        return repeat.run()


def edited(path, **values):
    told = json.loads((path / MANIFEST).read_text()) | values
    (path / MANIFEST).write_text(json.dumps(told))


def test_a_result_is_made_again_and_nothing_is_left(run, tmp_path):
    out = run(DARE)
    before = sorted(tmp_path.rglob("*"))
    assert again(out) == ()
    assert sorted(tmp_path.rglob("*")) == before


def test_it_is_made_again_from_wherever_one_stands(run, tmp_path, monkeypatch):
    out = run(DARE)
    monkeypatch.chdir("/")
    assert again(out) == ()
    moved = tmp_path / "results" / "of" / "june"
    moved.parent.mkdir(parents=True)
    out.rename(moved)
    assert again(moved) == ()


def test_the_copy_is_kept_if_there_is_a_place_for_it(run, tmp_path, monkeypatch):
    out = run(DARE)
    monkeypatch.chdir(tmp_path / "models")
    assert again(out, out=tmp_path / "copy") == ()
    for each in out.iterdir():
        assert each.read_bytes() == (tmp_path / "copy" / each.name).read_bytes(), each.name


def test_a_copy_does_not_take_the_place_of_anything(run):
    out = run(DARE)
    with pytest.raises(MergeGraphError, match="exists already"):
        again(out, out=out)


@pytest.mark.parametrize("name", ["out", "average", "pruned"])
def test_a_stage_is_made_again_alone(run, tmp_path, name):
    run(STAGES)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert again(tmp_path / name) == ()
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "options",
    [{"seed": 9}, {"settings": ["parameters.density=0.3"]}, {"shard_size": "10KB"}],
    ids=["seed", "set", "shards"],
)
def test_what_was_said_on_the_command_line_is_said_again(run, options):
    assert again(run(DARE, **options)) == ()


def test_a_seed_that_was_given_is_not_taken_for_the_recipes(run, tmp_path):
    """Stages of other seeds than that of the result keep theirs."""
    run(STAGES.replace("parameters: {t", "seed: 8\nparameters: {t"))
    assert again(tmp_path / "out") == ()
    assert read_manifest(tmp_path / "out").made.seed is None


def test_one_of_several_recipes_is_made_again_alone(run, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(DARE.replace("seed: 3", f"seed: {len(name)}"))
    mergegraph.run("one.yaml", "two.yaml", out="both")
    assert again(tmp_path / "both" / "two") == ()


def test_demo_models_are_inputs_like_others(run):
    text = DARE.replace("models/base", "demo:base").replace("models/tuned-1", "demo:north")
    assert again(run(text.replace("models/tuned-2", "demo:east"))) == ()


def test_bytes_that_differ_are_told(run):
    out = run(DARE)
    told = json.loads((out / MANIFEST).read_text())
    told["tensors"]["model.norm.weight"]["sha256"] = "0" * 64
    told["sides"]["config.json"] = "0" * 64
    (out / MANIFEST).write_text(json.dumps(told))
    assert again(out) == ("model.norm.weight: its bytes differ", "config.json: its bytes differ")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"packages": {"torch": "1.0"}}, "was made with torch 1.0, here is "),
        ({"methods": {"dare_ties": "their-methods 7"}},
         "method dare_ties was of their-methods 7, here it is of mergegraph"),
        ({"methods": {"sorcery": "their-methods 7"}},
         "method sorcery of their-methods 7 is not installed"),
    ],
)  # fmt: skip
def test_other_packages_are_refused_by_name_unless_told_to_go_on(run, values, told):
    out = run(DARE)
    edited(out, **values)
    with pytest.raises(MergeGraphError) as caught:
        again(out)
    assert told in str(caught.value)
    assert "--anyway goes on" in str(caught.value)
    assert again(out, anyway=True) == ()


def test_other_inputs_are_refused_by_name_and_show_in_the_bytes(run, tmp_path):
    out = run(DARE)
    tiny_checkpoint(tmp_path / "models" / "tuned-2", seed=99)
    with pytest.raises(MergeGraphError, match=r"input models/tuned-2: model.safetensors is not"):
        again(out)
    assert "model.norm.weight: its bytes differ" in again(out, anyway=True)


def test_a_manifest_of_the_first_format_is_enough(run):
    out = run(DARE)
    told = json.loads((out / MANIFEST).read_text())
    for key in ("sides", "weights", "device", "shard_size", "command"):
        del told[key]
    methods = {name: each["package"] for name, each in told["methods"].items()}
    (out / MANIFEST).write_text(json.dumps({**told, "format": 1, "seed": 3, "methods": methods}))
    assert again(out) == ()


def test_what_another_command_made_is_not_taken_for_a_merge(run):
    out = run(DARE)
    edited(out, command="moe")
    with pytest.raises(MergeGraphError, match="was made by mergegraph moe"):
        again(out)


def test_the_command_says_what_came_of_it(run, capsys):
    out = run(DARE)

    def command(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(["reproduce", str(out), "--quiet", *arguments])
        return SimpleNamespace(status=caught.value.code or 0, err=capsys.readouterr().err)

    assert command("--threads", "1", "--memory", "64MiB").status == 0
    told = json.loads((out / MANIFEST).read_text())
    told["tensors"]["model.norm.weight"]["sha256"] = "0" * 64
    (out / MANIFEST).write_text(json.dumps(told))
    found = command()
    assert found.status == 1
    assert found.err == f"{out}: model.norm.weight: its bytes differ\n"
