"""A search goes its way, once, however often it is stopped; and leaves what it found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from mergegraph import MergeGraphError
from mergegraph.errors import RunError
from mergegraph.evolve.command import prepare_winner, told
from mergegraph.evolve.display import curve
from mergegraph.lines import read_lines
from mergegraph.pipeline import finish
from mergegraph.settings import Settings


@pytest.fixture
def models(checkpoint):
    a = checkpoint("a", w=[[1.0, 2.0], [3.0, 4.0]])
    return str(a), str(checkpoint("b", w=[[5.0, 6.0], [7.0, 0.0]]))


@pytest.fixture
def recipe(models):
    return (
        "merge_method: linear\nmodels:\n"
        f"  - {{model: {models[0]}, parameters: {{weight: {{search: [0, 1]}}}}}}\n"
        f"  - {{model: {models[1]}, parameters: {{weight: {{search: [0, 1], log: false}}}}}}\n"
        "parameters: {normalize: false}\n"
    )


def trials(tmp_path, out="out"):
    """What the journal and the record tell of the trials, but for what took how long."""
    lines = [
        line["value"]
        for line, _ in read_lines(tmp_path / out / "search.journal")
        if line.get("kind") == "trial"
    ]
    record = json.loads((tmp_path / out / "search.json").read_text())
    for each in (*lines, *record["trials"]):
        each.pop("seconds")
    return lines, record


def test_a_search_finds_and_tells(evolve, recipe, models, tmp_path):
    pytest.importorskip("cmaes")
    prepared, found = evolve(recipe, trials=60)
    best = found.trials[found.best[0]]
    assert best.scores["near"] > -0.2
    text = (tmp_path / "out" / "best.yaml").read_text()
    assert text.startswith(f"# r.yaml, filled by mergegraph evolve: trial {best.number}, near -0.")
    _, record = trials(tmp_path)
    assert record["best"] == [best.number]
    assert record["chosen_by"] == "near:some"
    assert record["reported_by"] == "near:others"
    assert record["reported"] == {str(best.number): best.scores}
    assert record["parents"][models[0]] == {"near": -2.0, "far": 4.0}
    assert record["genes"][0]["high"] == 1
    assert len((tmp_path / "out" / "trials.csv").read_text().splitlines()) == 61
    assert told(prepared, found)[0].startswith(f"trial {best.number}: near -0.")


def test_the_winner_becomes_a_model(evolve, recipe, tmp_path):
    prepared, found = evolve(recipe, sampler="random")
    finish(prepare_winner(prepared, Settings(memory="64MiB", threads=1)))
    made = load_file(tmp_path / "out" / "model" / "model.safetensors")["w"]
    wanted = found.trials[found.best[0]].scores["near"]
    assert -abs(made[0, 0].item() - 3.0) == pytest.approx(wanted, abs=1e-6)
    prepared, other = evolve(recipe, sampler="random", restart=True, seed=1)
    assert other.best != found.best
    finish(prepare_winner(prepared, Settings(memory="64MiB", threads=1)))
    again = load_file(tmp_path / "out" / "model" / "model.safetensors")["w"]
    assert not again.equal(made)


@pytest.mark.parametrize("sampler", ["cmaes", "random", "grid"])
def test_a_search_stopped_twice_ends_as_one_that_was_not(
    evolve, recipe, counter, tmp_path, sampler
):
    pytest.importorskip("cmaes")
    given = {"sampler": sampler, "trials": None if sampler == "grid" else 20}
    evolve(recipe, out="whole", **given)
    count = len(counter.seen)
    seen = 0
    for at in (6, 9):
        counter.seen.clear()
        counter.last = at
        with pytest.raises(counter.Stopped):
            evolve(recipe, **given)
        seen += at - 1
    counter.seen.clear()
    counter.last = 10**6
    evolve(recipe, **given)
    assert seen + len(counter.seen) == count
    assert trials(tmp_path) == trials(tmp_path, "whole")
    best = (tmp_path / "out" / "best.yaml").read_bytes()
    assert best == (tmp_path / "whole" / "best.yaml").read_bytes()


def test_more_trials_continue_the_same_way(evolve, recipe, counter, tmp_path):
    pytest.importorskip("cmaes")
    evolve(recipe, trials=7)
    counter.seen.clear()
    evolve(recipe, trials=20)
    assert len([each for each in counter.seen if each.startswith("trial")]) in (13, 14)
    evolve(recipe, trials=20, out="whole")
    assert trials(tmp_path)[1]["trials"] == trials(tmp_path, "whole")[1]["trials"]


def test_many_at_once_go_the_same_way(evolve, recipe, tmp_path):
    pytest.importorskip("cmaes")
    evolve(recipe)
    evolve(recipe, out="many", parallel=4)
    assert trials(tmp_path)[1] == trials(tmp_path, "many")[1]


def test_equal_genotypes_and_equal_results_are_examined_once(evolve, recipe, counter, models):
    text = recipe.replace("[0, 1], log: false", "[0.0, 0.5, 1.0]")
    text = text.replace("[0, 1]", "[0.0, 0.5, 1.0, 1e-9]")
    _, found = evolve(text, sampler="random", trials=40)
    examined = [each for each in counter.seen if each.startswith("trial")]
    new = [each for each in found.trials if each.repeats is None]
    assert len(examined) == len(new) + 1  # the winner is reported
    for each in found.trials:
        if each.repeats is not None:
            assert found.trials[each.repeats].repeats is None
            assert each.scores == found.trials[each.repeats].scores


def test_several_objectives_give_a_set(evolve, recipe, tmp_path):
    pytest.importorskip("optuna")
    _, found = evolve(recipe, maximize=["near"], minimize=["far"], trials=60)
    scores = [(-found.trials[n].scores["near"], found.trials[n].scores["far"]) for n in found.best]
    assert len(scores) > 1
    assert sorted(scores) == sorted(scores, key=lambda each: -each[1])
    files = sorted(each.name for each in (tmp_path / "out" / "pareto").iterdir())
    assert files == [f"{i:02}.yaml" for i in range(len(scores))]


def test_what_cannot_be_made_has_no_score_and_the_search_goes_on(evolve, models):
    text = (
        f"merge_method: ties\nbase_model: {models[0]}\nmodels: [{{model: {models[1]}}}]\n"
        "parameters: {weight: 1, density: {search: [0.1, 0.5, 7.0]}}\n"
    )
    with pytest.raises(MergeGraphError, match=r"between 0 and 1.*\(where density is 7\.0\)"):
        evolve(text, sampler="grid", trials=None)
    text = text.replace("0.1, 0.5, 7.0", "0.2, 1.8")
    _, found = evolve(text, sampler="grid", trials=None)
    lost = [each for each in found.trials if each.scores is None]
    assert lost
    assert "1.4 is not between 0 and 1" in lost[0].problem
    assert found.trials[found.best[0]].scores


def test_scores_of_another_name_are_told_at_once(evolve, recipe, counter):
    with pytest.raises(RunError, match="no score is called 'neer'; did you mean 'near'"):
        evolve(recipe, maximize=["neer"], sampler="random")
    assert len(counter.seen) == 1


def test_where_no_candidate_has_a_score_the_search_fails(evolve, recipe, plugins):
    from types import SimpleNamespace

    from mergegraph import evaluator, hookimpl
    from mergegraph.plugins import collect

    @evaluator(splits=("some", "others"), main="x")
    def broken(model, data):
        raise ValueError("no")

    own = collect([("own 1.0", SimpleNamespace(evaluators=hookimpl(lambda: [broken])))])
    known = replace(plugins, evaluators=own.evaluators, evaluator_packages=own.evaluator_packages)
    with pytest.raises(RunError, match="none of 48 candidates has a score x; the first: broken"):
        evolve(recipe, evaluator="broken", plugins=known, sampler="random", trials=100)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 1}, "--seed was 0 and is 1"),
        ({"sampler": "grid", "trials": None}, "--sampler was random and is grid"),
        ({"minimize": ["far"]}, "what is looked for was"),
        ({"evaluator": "near:elsewhere", "report_evaluator": "near:others"}, "the evaluator was"),
    ],
)
def test_a_search_of_something_else_is_not_continued(evolve, recipe, changes, told):
    evolve(recipe, sampler="random")
    with pytest.raises(MergeGraphError, match=f"of another search: {told}.*--restart"):
        evolve(recipe, **{"sampler": "random", **changes})


def test_other_recipes_and_inputs_are_not_continued(evolve, recipe, models):
    evolve(recipe, sampler="random")
    with pytest.raises(MergeGraphError, match="the recipe has changed"):
        evolve(recipe.replace("[0, 1]", "[0, 2]"), sampler="random")
    save_file({"w": torch.zeros(2, 2)}, f"{models[1]}/model.safetensors")
    with pytest.raises(MergeGraphError, match=f"the model {models[1]} has changed"):
        evolve(recipe, sampler="random")
    evolve(recipe, sampler="random", restart=True)


def test_models_that_change_meanwhile_are_told(evolve, recipe, models, counter, plugins):
    from types import SimpleNamespace

    from mergegraph import evaluator, hookimpl
    from mergegraph.plugins import collect

    @evaluator(splits=("some", "others"), main="x")
    def spoiling(model, data):
        save_file({"w": torch.zeros(2, 2)}, f"{models[1]}/model.safetensors")
        return {"x": 1.0}

    own = collect([("own 1.0", SimpleNamespace(evaluators=hookimpl(lambda: [spoiling])))])
    known = replace(plugins, evaluators=own.evaluators, evaluator_packages=own.evaluator_packages)
    with pytest.raises(RunError, match="changed"):
        evolve(recipe, evaluator="spoiling", plugins=known, sampler="random", trials=3)


def test_one_process_at_a_time_has_a_search(evolve, recipe):
    prepared, _ = evolve(recipe, sampler="random")
    prepared.journal.open(prepared.request.bond, restart=False)
    with pytest.raises(MergeGraphError, match="another process is at work on this search"):
        evolve(recipe, sampler="random")
    prepared.journal.close()


def test_a_folder_of_something_else_is_left_alone(evolve, recipe, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(MergeGraphError, match=r"holds thesis\.txt, and no search"):
        evolve(recipe, sampler="random")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sampler": "cma"}, "--sampler cma: there is none; did you mean 'cmaes'"),
        ({"maximize": ["near", "far"], "sampler": "cmaes"}, "looks for one score, not for 2"),
        ({"points": 3, "sampler": "random"}, "only a grid has them"),
        ({"sampler": "grid", "trials": 3}, "the grid has 25 points"),
        (
            {"evaluator": "near:own"},
            "near:others|None",
        ),
        ({"report_evaluator": "near:some"}, "chooses and reports"),
    ],
)
def test_requests_that_make_no_sense_are_refused(evolve, recipe, tmp_path, options, told):
    if "|" in told:
        evolve(recipe, sampler="random", **options)
        assert trials(tmp_path)[1]["reported_by"] == "near:others"
        return
    with pytest.raises(MergeGraphError, match=told):
        evolve(recipe, **options)
    assert not (tmp_path / "out").exists()


def test_parameters_of_one_method_alone_are_refused_beside_a_choice(evolve, recipe):
    text = recipe.replace("merge_method: linear", "merge_method: {search: [linear, ties]}")
    with pytest.raises(
        MergeGraphError, match=r"ties needs a base_model \(where merge_method is ties\)"
    ) as e:
        evolve(text)
    assert "<<: {search: [{...}, {...}]}" in str(e.value)


def test_the_curve_rises():
    assert curve([0, 1, 2, 3]) == "▁▃▆█"
    assert len(curve(list(range(1000)))) == 60
    assert curve([]) == ""


SCORE = """
import json, os, pathlib, signal, struct, sys
count = pathlib.Path("count")
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
if number == int(os.environ.get("LAST", 0)):
    os.kill(int(os.environ["SEARCH"]), signal.SIGKILL)
data = pathlib.Path(sys.argv[1], "model.safetensors").read_bytes()
first, = struct.unpack("<f", data[8 + struct.unpack("<Q", data[:8])[0] :][:4])
print(json.dumps({"score": -abs(first - 3)}))
"""
START = """
import os
os.environ["SEARCH"] = str(os.getpid())
from mergegraph.__main__ import main
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_a_search_that_is_killed_ends_as_one_that_was_not(evolve, recipe, tmp_path, monkeypatch):
    pytest.importorskip("cmaes")
    monkeypatch.chdir(tmp_path)
    for name, text in {"r.yaml": recipe, "score.py": SCORE, "start.py": START}.items():
        (tmp_path / name).write_text(text)
    examiner = f"shell:{sys.executable} -S score.py {{model}}"
    words = "--out out --same-data --maximize score --trials 8 --memory 64MiB --threads 1 -q"
    done = subprocess.run(
        [
            sys.executable,
            "start.py",
            "evolve",
            "r.yaml",
            "--evaluator",
            examiner,
            *words.split(),
        ],
        check=False,
        env={**os.environ, "LAST": "7"},
        capture_output=True,
        timeout=100,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = len([line for line, _ in read_lines(tmp_path / "out" / "search.journal")])
    assert left > 5
    given = {"same_data": True, "maximize": ["score"], "trials": 8, "plugins": None}
    evolve(recipe, evaluator=examiner, **given)
    evolve(recipe, evaluator=examiner, out="whole", **given)
    assert trials(tmp_path) == trials(tmp_path, "whole")
    best = (tmp_path / "out" / "best.yaml").read_bytes()
    assert best == (tmp_path / "whole" / "best.yaml").read_bytes()
    assert not list((tmp_path / "out").glob(".candidates-*"))
