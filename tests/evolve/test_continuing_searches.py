"""What a search leaves is of that search, and never older than it was."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

from mergegraph import MergeGraphError, evaluator, hookimpl
from mergegraph.evolve.command import prepare_winner
from mergegraph.pipeline import finish
from mergegraph.plugins import collect
from mergegraph.settings import Settings

SETTINGS = Settings(memory="64MiB", threads=1)


@pytest.fixture
def recipe(checkpoint):
    a = checkpoint("a", w=[[1.0, 2.0], [3.0, 4.0]])
    b = checkpoint("b", w=[[5.0, 6.0], [7.0, 0.0]])
    return (
        "merge_method: linear\nmodels:\n"
        f"  - {{model: {a}, parameters: {{weight: {{search: [0, 1]}}}}}}\n"
        f"  - {{model: {b}, parameters: {{weight: {{search: [0, 1]}}}}}}\n"
        "parameters: {normalize: false}\n"
    )


def left(tmp_path):
    """The files in the folder of the search, and what is in it of a model."""
    return {each.name for each in (tmp_path / "out").iterdir()}


def test_a_winner_that_was_interrupted_is_gone_on_with(evolve, recipe, tmp_path):
    first, one = evolve(recipe, sampler="random", trials=2)
    finish(prepare_winner(first, SETTINGS))
    second, other = evolve(recipe, sampler="random", trials=30)
    assert other.best != one.best
    prepare_winner(second, SETTINGS)  # and killed
    third, _ = evolve(recipe, sampler="random", trials=30)
    finish(prepare_winner(third, SETTINGS))
    made = load_file(tmp_path / "out" / "model" / "model.safetensors")["w"]
    assert -abs(made[0, 0].item() - 3) == pytest.approx(other.trials[other.best[0]].scores["near"])
    assert prepare_winner(third, SETTINGS).found[tmp_path / "out" / "model"].is_done


def test_a_model_of_somebody_else_is_not_replaced(evolve, recipe, checkpoint, tmp_path):
    prepared, _ = evolve(recipe, sampler="random", trials=2)
    (tmp_path / "out" / "model").mkdir()
    (tmp_path / "out" / "model" / "mine.txt").write_text("mine")
    with pytest.raises(Exception, match="exists and is not a result of mergegraph"):
        prepare_winner(prepared, SETTINGS)
    evolve(recipe, sampler="random", trials=2, restart=True)
    assert (tmp_path / "out" / "model" / "mine.txt").exists()


def test_beginning_anew_leaves_nothing_of_the_search_before(evolve, recipe, counter, tmp_path):
    prepared, _ = evolve(recipe, sampler="random", trials=3)
    finish(prepare_winner(prepared, SETTINGS))
    assert {"best.yaml", "model", "search.json"} < left(tmp_path)
    counter.seen.clear()
    counter.last = 1
    several = {"sampler": "random", "trials": 3, "maximize": ["near"], "minimize": ["far"]}
    with pytest.raises(counter.Stopped):
        evolve(recipe, restart=True, **several)
    assert left(tmp_path) == {"search.journal"}
    counter.last = 10**6
    evolve(recipe, **several)
    assert left(tmp_path) == {"search.journal", "search.json", "trials.csv", "pareto"}
    evolve(recipe, sampler="random", trials=3, restart=True)
    assert left(tmp_path) == {"search.journal", "search.json", "trials.csv", "best.yaml"}


def test_records_never_go_back(evolve, recipe, counter, tmp_path, capsys):
    counter.last = 14
    with pytest.raises(counter.Stopped):
        evolve(recipe, sampler="random", population=3)
    before = (tmp_path / "out" / "search.json").read_bytes()
    assert len(json.loads(before)["trials"]) == 9
    counter.seen.clear()
    counter.last = 1
    capsys.readouterr()
    with pytest.raises(counter.Stopped):
        evolve(recipe, sampler="random", population=3, quiet=False)
    assert (tmp_path / "out" / "search.json").read_bytes() == before
    assert capsys.readouterr().err == "goes on, 11 trials are known\n"


def test_what_failed_for_a_parent_or_in_a_report_is_tried_again(evolve, recipe, plugins, tmp_path):
    broken = {"some", "others"}

    @evaluator(splits=("some", "others"), main="x")
    def moody(model, data):
        if data in broken and (data == "others" or not model.name.startswith("trial")):
            raise ValueError("not now")
        return {"x": float(model.tensors["w"].sum())}

    own = collect([("own 1.0", SimpleNamespace(evaluators=hookimpl(lambda: [moody])))])
    known = replace(plugins, evaluators=own.evaluators, evaluator_packages=own.evaluator_packages)
    given = {"evaluator": "moody", "plugins": known, "sampler": "random", "trials": 3}
    evolve(recipe, **given)
    record = json.loads((tmp_path / "out" / "search.json").read_text())
    assert not record["parents"] | record["reported"] | record["reported_parents"]
    broken.clear()
    evolve(recipe, **given)
    record = json.loads((tmp_path / "out" / "search.json").read_text())
    assert list(record["reported"]) == [str(record["best"][0])]
    assert len(record["parents"]) == len(record["reported_parents"]) == 2


def test_other_kernels_are_told_and_those_of_others_are_not(evolve, recipe, plugins):
    evolve(recipe, sampler="random", trials=2)
    packages = {**plugins.packages, "ties": "own 2.0"}
    evolve(recipe, sampler="random", trials=2, plugins=replace(plugins, packages=packages))
    packages = {**plugins.packages, "linear": "own 2.0"}
    with pytest.raises(MergeGraphError, match=r"the package own was not given and is 2\.0"):
        evolve(recipe, sampler="random", trials=2, plugins=replace(plugins, packages=packages))


def test_models_and_methods_of_a_choice_within_a_choice_are_known(evolve, checkpoint, plugins):
    a, b, c = (checkpoint(name, w=[[1.0, 2.0]]) for name in "abc")
    text = (
        "merge_method: linear\nmodels:\n  search:\n"
        f"    - [{{model: {a}}}, {{model: {b}}}]\n"
        f"    - [{{model: {a}}}, {{model: {{search: [{b}, {c}]}}}}]\n"
        "parameters: {weight: 1}\n"
    )
    prepared, _ = evolve(text, sampler="grid", trials=None)
    assert set(prepared.request.parents) == {str(a), str(b), str(c)}
