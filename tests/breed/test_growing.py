"""A population is bred from recipes, written down, and never examined twice."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from mergegraph import MergeGraphError, pipeline
from mergegraph.breed.telling import members_table, summary
from mergegraph.errors import RunError
from mergegraph.search.laboratory import Laboratory, Outcome


def without_seconds(record):
    return json.loads(json.dumps(record), object_hook=lambda each: {**each, "seconds": None})


def test_generations_get_better_than_the_models_they_began_with(search):
    record = search.run()
    members = {each["name"]: each for each in record["members"]}
    first = max(members[name]["scores"]["nearness"] for name in search.models)
    assert members[record["best"]]["scores"]["nearness"] > first
    assert record["generations"][-1]["stopped"]


@pytest.mark.parametrize("method", ["slerp", "dare_ties", "linear"])
def test_replayed_generations_are_the_bytes_that_were_examined(search, seen, tmp_path, method):
    """Also of methods that draw at random, and of merges of merges that are rounded on the way."""
    own = {
        "slerp": {"t": [0, 0.7]},
        "dare_ties": {"weight": 1, "density": 0.6},
        "linear": {"weight": 1},
    }
    record = search.run(method=method, parameters=own[method], max_generations=4, early_stop=None)
    examined = {name: tensors for name, data, tensors in seen if data == "here"}
    assert len(record["generations"]) > 2
    for number, generation in enumerate(record["generations"][1:], start=1):
        recipe = search.folder / f"generation-{number}.yaml"
        name = recipe.read_text().splitlines()[0].rpartition(" ")[2]
        assert name in generation["new"]
        pipeline.run(recipe, out=tmp_path / f"again-{number}", threads=1)
        made = load_file(tmp_path / f"again-{number}" / "model.safetensors")
        assert made["w"].dtype == torch.bfloat16
        assert torch.equal(made["w"], examined[name]["w"])


def test_chain_means_what_merging_through_disk_means(search, seen, tmp_path):
    """Every stage is rounded as storing it would round it."""
    search.run(max_generations=3, early_stop=None)
    stages = (search.folder / "generation-3.yaml").read_text().split("---\n")
    for text in stages:
        name = text.partition('name: "')[2].partition('"')[0]
        single = tmp_path / "single.yaml"
        single.write_text(text)
        pipeline.run(single, out=tmp_path / name, threads=1)
        examined = next(tensors for n, _, tensors in seen if n == name)
        assert torch.equal(load_file(tmp_path / name / "model.safetensors")["w"], examined["w"])


def test_nothing_is_examined_twice(search, seen):
    first = search.run()
    count = len(seen)
    assert len({(name, data) for name, data, _ in seen}) == count
    assert without_seconds(search.run()) == without_seconds(first)
    assert len(seen) == count


@pytest.mark.parametrize("cut", [0.2, 0.7])
def test_search_that_was_killed_ends_as_one_that_was_not(search, seen, cut):
    """The journal is cut at any byte, as a kill leaves it, and nothing else is looked at."""
    whole = without_seconds(search.run())
    count = len(seen)
    journal = search.folder / "search.journal"
    content = journal.read_bytes()
    journal.write_bytes(content[: int(len(content) * cut)])
    for each in search.folder.glob("*.yaml"):
        each.unlink()
    seen.clear()
    assert without_seconds(search.run()) == whole
    assert len(seen) < count
    assert (search.folder / "best.yaml").exists()


def test_more_generations_go_on_where_fewer_ended(search, seen):
    short = search.run(max_generations=2, early_stop=None)
    count = len(seen)
    long = search.run(max_generations=3, early_stop=None)
    names = [each["name"] for each in long["members"]]
    assert names[: len(short["members"])] == [each["name"] for each in short["members"]]
    assert len(seen) - count == len(names) - len(short["members"]) + (long["best"] != short["best"])


def test_fewer_generations_leave_nothing_of_more(search):
    search.run(max_generations=3, early_stop=None)
    search.run(max_generations=1, early_stop=None)
    assert not (search.folder / "generation-2.yaml").exists()
    assert len(list((search.folder / "recipes").iterdir())) == 3


def test_folder_of_another_search_is_refused(search):
    search.run(max_generations=1)
    with pytest.raises(MergeGraphError, match=r"another search: --k was 3 and is 2.*--restart"):
        search.prepared(k=2)
    search.models.pop()
    with pytest.raises(MergeGraphError, match="the models was a, b, c and is a, b"):
        search.prepared()
    assert search.run(restart=True, k=2)["k"] == 2


def test_changed_model_makes_another_search(search, checkpoint, tmp_path):
    search.run(max_generations=1)
    (tmp_path / "c").rename(tmp_path / "old")
    checkpoint("c", w=torch.ones(4, dtype=torch.bfloat16))
    with pytest.raises(MergeGraphError, match="the model c has changed"):
        search.prepared()


def test_equal_models_are_refused(search, checkpoint, tmp_path):
    (tmp_path / "e").mkdir()
    for each in (tmp_path / "a").iterdir():
        (tmp_path / "e" / each.name).write_bytes(each.read_bytes())
    search.models.append("e")
    with pytest.raises(MergeGraphError, match="a and e: have the same weights"):
        search.prepared()


@pytest.mark.parametrize(
    ("wishes", "fact"),
    [
        ({"method": "slurp"}, "--method slurp: is not installed; did you mean 'slerp'"),
        ({"parameters": {"u": 1}}, "--parameter u: slerp has no such parameter"),
        ({"parameters": {"t": "x"}}, "t 'x' is not a number"),
        ({"base": None}, "give --base, or do without: --no-explore --no-early-stop"),
        ({"method": "ties", "base": None, "explores": False, "early_stop": None}, "needs a base"),
        ({"k": 1}, "--k 1: at least 2"),
        ({"max_generations": 0}, "--max-generations 0"),
        ({"early_stop": 1.5}, "--early-stop 1.5: pcc is 1 at most"),
        ({"metric": "pearson"}, "--metric pearson: not one of pcc, cosine, euclidean"),
        ({"candidates": "all"}, "--candidates all: not one of pool, topk"),
    ],
)
def test_wrong_wishes_fail_before_work(search, seen, wishes, fact):
    with pytest.raises(MergeGraphError, match=fact):
        search.prepared(**wishes)
    assert not search.folder.exists()
    assert not seen


def test_same_data_may_not_report(search):
    with pytest.raises(MergeGraphError, match="chooses and reports"):
        search.prepared(reports="nearness:here")


def test_merge_that_cannot_be_made_is_told_and_left_out(search, checkpoint):
    """One of the models has a tensor in another shape, which no pair of it can do."""
    checkpoint("odd", w=torch.ones(4, dtype=torch.bfloat16), v=torch.ones(2))
    search.models.append("odd")
    record = search.run(explores=False, early_stop=None, max_generations=1)
    lost = [each for each in record["members"] if each["scores"] is None]
    assert {tuple(each["parents"]) for each in lost} == {(n, "odd") for n in "abc"}
    assert all(each["problem"] and each["recipe"] is None for each in lost)
    assert any("model-1-3 = a × odd: left out" in line for line in search.said)
    assert "3 merges were left out" in "\n".join(summary(search.found))


@pytest.mark.parametrize("explores", [True, False])
def test_record_tells_gain_kinship_and_reports(search, explores):
    record = search.run(max_generations=2, explores=explores)
    members = {each["name"]: each for each in record["members"]}
    child = members["model-1-1"]
    own, parents = child["scores"]["nearness"], [members[p]["scores"] for p in child["parents"]]
    assert child["gain"] == pytest.approx(own - sum(p["nearness"] for p in parents) / 2)
    names, matrix = record["kinship"]["names"], record["kinship"]["matrix"]
    at, to = (names.index(each) for each in child["parents"])
    assert matrix[at][to] == matrix[to][at] == child["kinship"]
    assert all(each["kinship"] is not None for each in record["members"] if each["parents"])
    assert record["reported"].keys() == {*search.models, record["best"]}
    assert (search.folder / child["recipe"]).exists()
    assert record["best"] + " *" in members_table(search.found)


def test_less_may_be_better(search, plugins, tmp_path):
    from mergegraph.breed.command import Questions, carry_out, prepare
    from mergegraph.breed.wishes import Wishes
    from mergegraph.settings import Settings

    wishes = Wishes(tuple(search.models), base="base", parameters={"t": 0.5})
    questions = Questions("nearness", minimize="distance")
    more = search.run(max_generations=2, reports=None)["best"]
    found = prepare(wishes, questions, plugins, Settings(threads=1), out=tmp_path / "less")
    said = []
    carry_out(found, restart=False, parallel=1, say=said.append)
    assert f"the best is {more} with distance" in "\n".join(said)


def test_kinship_is_not_measured_where_nothing_depends_on_it(search):
    record = search.run(base=None, explores=False, early_stop=None, max_generations=2)
    assert record["kinship"] is None
    assert all(each["kinship"] is None for each in record["generations"])


def test_other_kernels_are_not_gone_on_with(search):
    search.run(max_generations=1)
    known = search.plugins
    search.plugins = replace(known, packages={**known.packages, "ties": "own 2.0"})
    search.run(max_generations=1)
    search.plugins = replace(known, packages=dict.fromkeys(known.packages, "own 2.0"))
    with pytest.raises(MergeGraphError, match=r"the package own was not given and is 2\.0"):
        search.run(max_generations=1)


def test_a_report_that_failed_is_asked_for_again(search, monkeypatch):
    """The winner's own report fails once: running again gives it, and chooses nothing anew."""
    whole = Laboratory.scores
    failing = [True]

    def flaky(self, asked, examination, on_scored):
        if examination.data == "there" and failing:
            failing.clear()
            outcome = Outcome(None, "no answer in time", "key")
            on_scored(0, outcome)
            return [outcome]
        return whole(self, asked, examination, on_scored)

    monkeypatch.setattr(Laboratory, "scores", flaky)
    with pytest.raises(RunError, match="no answer in time"):
        search.run(max_generations=1)
    assert search.run(max_generations=1)["reported"]
