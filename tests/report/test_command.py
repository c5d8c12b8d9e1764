"""Reports from end to end: recipes, results, searches and runs, told by hostile names or not."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
import torch
from safetensors.torch import save_file
from samples import bred, evolved, written
from test_markup import read
from typer.testing import CliRunner

import mergegraph
from mergegraph.cli import main
from mergegraph.testing import tiny_family

EVIL = "<script>window.executed=1</script>\"'><img src=x onerror=executed=1>"
RECIPE = """
merge_method: ties
base_model: models/base
models: [{model: models/tuned-1}, {model: models/tuned-2}]
parameters: {weight: 1, density: [{filter: mlp, value: [0.2, 0.8]}, {value: 0.5}]}
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_family(tmp_path / "models", layers=2, hidden=16)
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "rounds.json").write_text("{}")
    return tmp_path


def run(*arguments):
    """What the command line comes to: its status."""
    try:
        main([str(each) for each in arguments])
    except SystemExit as end:
        return end.code or 0
    return 0


def spoil(path):
    """Leave the header of a file, and no number of its tensors as it was."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    path.write_bytes(data[:start] + b"\xff" * (len(data) - start))


def titles(path):
    return re.findall(r"<h[23][^>]*>(.*?)</h[23]>", path.read_text())


def test_a_recipe_is_drawn_and_not_run(work):
    assert run("report", "r.yaml", "--quiet") == 0
    assert {"Kinship of the models", "Sign conflicts", "What r (ties) keeps"} <= set(
        titles(work / "report.html")
    )
    assert sorted(each.name for each in work.iterdir()) == [
        "models",
        "r.yaml",
        "report.html",
        "shared",
    ]


def test_equal_input_gives_equal_bytes(work):
    written(work / "s", evolved())
    how = ["--quiet", "--memory", "1GiB", "--threads", "2"]
    for name in ("a.html", "b.html"):
        assert run("report", "r.yaml", "s", "--out", name, *how) == 0
    assert (work / "a.html").read_bytes() == (work / "b.html").read_bytes()


def test_a_page_asks_for_nothing_and_allows_its_own_script_alone(work):
    run("report", "r.yaml", "--quiet")
    text = (work / "report.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1].replace(
        "&#x27;", "'"
    )
    for kind in ("script", "style"):
        own = re.search(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    found = read(re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
    assert not [v for k, v in found.attributes if k in ("src", "style") or k.startswith("on")]
    assert all(v.startswith("#") for k, v in found.attributes if k == "href")
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_hostile_names_are_text(work):
    names = [f"model.layers.{i}.{EVIL}.weight" for i in range(2)]
    for i, model in enumerate(("base", "tuned-1", "tuned-2")):
        tensors = {name: torch.full((4, 4), float(i + 1)) for name in names}
        folder = work / EVIL.replace("/", "") / model
        folder.mkdir(parents=True)
        save_file(tensors, folder / "model.safetensors")
        (folder / "config.json").write_text("{}")
    evil = json.dumps(EVIL.replace("/", ""))[1:-1]
    text = re.sub(r"models/([\w-]+)", lambda found: f'"{evil}/{found[1]}"', RECIPE)
    text = text.replace("filter: mlp", "filter: script")
    (work / "e.yaml").write_text(f"{text}# {EVIL}\n")
    for name, record in (("s", evolved()), ("b", bred())):
        told = json.dumps(record).replace("demo:north", evil).replace("g1-0", evil)
        written(work / name, json.loads(told))
    assert run("report", "e.yaml", "s", "b", "--quiet") == 0
    found = read((work / "report.html").read_text())
    assert found.names.count("script") == 1
    assert "img" not in found.names
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "onerror" in found.text


def test_secrets_and_the_home_directory_are_not_told(work, monkeypatch):
    monkeypatch.setenv("HOME", str(work))
    token = "hf_" + "a1B2" * 9
    (work / "r.yaml").write_text(RECIPE.replace("models/", f"{work}/models/") + f"# {token}\n")
    assert run("report", "r.yaml", "--quiet") == 0
    text = (work / "report.html").read_text()
    assert token not in text
    assert str(work) not in text
    assert "~/models/tuned-1" in text


def test_a_result_tells_of_its_inputs_and_its_ancestry(work):
    mergegraph.run("r.yaml", out="made")
    assert run("report", "made", "--quiet") == 0
    told = (work / "report.html").read_text()
    assert {"Family tree", "Kinship by layer"} <= set(titles(work / "report.html"))
    assert "made (the result)" in told


def test_a_result_whose_inputs_are_gone_says_so(work):
    mergegraph.run("r.yaml", out="made")
    (work / "models" / "tuned-2" / "model.safetensors").unlink()
    assert run("report", "made", "--quiet") == 0
    assert "Its inputs are not what they were" in (work / "report.html").read_text()
    assert "Family tree" in titles(work / "report.html")


def test_a_run_is_drawn_with_where_its_time_went(work):
    assert run("run", "r.yaml", "--out", "made", "--report", "made.html", "--quiet") == 0
    assert {"What each thread did", "Time by what was done", "Memory"} <= set(
        titles(work / "made.html")
    )
    assert (work / "made" / "model.safetensors").is_file()


def test_a_trace_of_a_run_is_drawn_with_its_result(work):
    mergegraph.run("r.yaml", out="made", trace="t.json")
    assert run("report", "made", "--trace", "t.json", "--quiet") == 0
    assert "What each thread did" in titles(work / "report.html")


def test_entries_that_are_not_finite_leave_gaps(work):
    spoil(work / "models" / "tuned-1" / "model.safetensors")
    assert run("report", "r.yaml", "--quiet") == 0
    text = re.sub(r"<script>.*?</script>", "", (work / "report.html").read_text(), flags=re.DOTALL)
    assert not re.search(r"\bnan\b", text)
    assert "NaN or infinite in models/tuned-1" in text


def test_searches_are_drawn(work):
    written(work / "s", evolved())
    written(work / "b", bred())
    assert run("report", "s", "b", "--quiet") == 0
    told = (work / "report.html").read_text()
    assert {"Scores over the trials", "Genes and scores", "Kinship of the top set"} <= set(
        titles(work / "report.html")
    )
    assert "Chosen by demo:validation. Reported by demo:test" in told


def test_a_search_that_has_only_begun_is_drawn(work):
    written(work / "s", evolved(best=[], trials=[], reported={}))
    written(work / "b", bred(members=[], generations=[], kinship=None, best=""))
    assert run("report", "s", "b", "--quiet") == 0


def test_quick_reads_no_weights(work):
    """Entries that no reading could pass are not looked at."""
    spoil(work / "models" / "tuned-1" / "model.safetensors")
    assert run("report", "r.yaml", "--quiet", "--quick") == 0
    told = (work / "report.html").read_text()
    assert "Nothing was read for this report (--quick)." in told
    assert "Parameters over the layers" in told


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["nowhere.yaml"], "is not there"),
        (["models"], "holds neither"),
        (["shared"], "such as shared/round-1"),
        (["r.yaml", "--out", "models"], "cannot be written"),
        (["r.yaml", "--out", "r.yaml"], "is no report"),
        (["r.yaml", "--base", "models/bass"], "--base"),
        (["r.yaml", "--trace", "r.yaml"], "r.yaml"),
        (["r.yaml", "r.yaml", "--trace", "t.json"], "one target"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_work(work, capsys, arguments, fact):
    assert run("report", *arguments) == 2
    assert fact in capsys.readouterr().err
    assert not (work / "report.html").exists()


def test_help_tells_of_it():
    told = CliRunner().invoke(mergegraph.cli.app, ["report", "--help"], env={"COLUMNS": "200"})
    assert "one page of HTML" in told.output


def test_a_table_of_very_many_rows_says_that_it_is_cut(work):
    written(work / "s", evolved(2500))
    assert run("report", "s", "--quiet") == 0
    told = (work / "report.html").read_text()
    assert "all trials, 2000 of 2500 rows" in told
