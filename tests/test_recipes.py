"""The recipes of the project, all run together on the demo family."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mergegraph import pipeline
from mergegraph.demo.__main__ import members
from mergegraph.demo.score import make_exam, score
from mergegraph.plugins import installed_plugins
from mergegraph.recipe import read_recipe

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
TASK_VECTOR_METHODS = (
    "task_arithmetic",
    "ties",
    "dare_linear",
    "dare_ties",
    "della",
    "breadcrumbs",
)


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    """The results of all recipes, and what was planned and read."""
    out = tmp_path_factory.mktemp("merged")
    prepared = pipeline.prepare(RECIPES, out=out)
    read = []
    pipeline.finish(prepared, progress=lambda nbytes, _written: read.append(nbytes))
    return out, prepared, sum(read)


def test_there_is_a_recipe_for_every_bundled_method():
    plugins = installed_plugins()
    bundled = {name for name in plugins.methods if plugins.package(name).startswith("mergegraph 0")}
    used = {read_recipe(str(path), plugins.methods).stages[-1].method for path in RECIPES}
    assert bundled <= used


def test_inputs_are_read_as_often_as_the_plan_says(merged):
    _, prepared, read = merged
    assert read == prepared.schedule.read_nbytes
    inputs = {t.key: t.spec.nbytes for t in prepared.plan.tasks if t.op.cut == "load"}
    assert read == sum(inputs.values())


def test_the_plan_accounts_for_every_tensor_of_every_input(merged):
    _, prepared, _ = merged
    for account in prepared.plan.accounts:
        assert account.read + len(account.left_out) == len(account.checkpoint.entries)
        assert not account.left_out


@pytest.mark.parametrize("name", [path.stem for path in RECIPES])
def test_transformers_loads_each_result_and_generates(merged, name):
    transformers = pytest.importorskip("transformers")
    model, noticed = transformers.AutoModelForCausalLM.from_pretrained(
        merged[0] / name, output_loading_info=True
    )
    assert not any(noticed.values()), noticed
    tokenizer = transformers.AutoTokenizer.from_pretrained(merged[0] / name)
    asked = tokenizer("n:bani dofu=", return_tensors="pt", return_token_type_ids=False)
    assert len(model.generate(**asked, max_new_tokens=4)[0]) > len(asked["input_ids"][0])


def test_the_stack_has_its_new_depth(merged):
    config = json.loads((merged[0] / "tutorial-passthrough" / "config.json").read_text())
    assert config["num_hidden_layers"] == 8


def test_merges_beat_the_base_and_every_single_expert_on_the_average(merged):
    """At least three task-vector methods, as the README's table shows for the full exam."""
    torch.set_num_threads(1)
    exam = make_exam(100)

    def average(path):
        scores = score(path, exam)
        return sum(scores.values()) / len(scores)

    best = max(average(path) for path in members())
    found = {name: average(merged[0] / name) for name in TASK_VECTOR_METHODS}
    assert sum(each > best + 5 for each in found.values()) >= 3, (best, found)
