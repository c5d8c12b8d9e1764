"""The command line: what it says, where it says it, and the status it ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mergegraph.cli import main
from mergegraph.errors import MergeGraphError

LINEAR = """\
merge_method: linear
models:
  - model: a
    parameters: {weight: 1}
  - model: b
    parameters: {weight: 1}
"""


@pytest.fixture
def cli(capsys):
    """Run the command line here: status, what was printed, and what was said on the other side."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(each) for each in arguments])
        said = capsys.readouterr()
        return SimpleNamespace(status=caught.value.code or 0, out=said.out, err=said.err)

    return run


@pytest.fixture
def recipe(checkpoint, tmp_path, monkeypatch):
    """A recipe of two models, in the directory that is worked in."""
    monkeypatch.chdir(tmp_path)
    checkpoint("a", {"model.layers.0.w": [[1, 2]]}, config={"num_hidden_layers": 1})
    checkpoint("b", {"model.layers.0.w": [[3, 4]]}, config={"num_hidden_layers": 1})
    path = tmp_path / "r.yml"
    path.write_text(LINEAR)
    return path


def left(folder):
    """What stands in a directory, besides what the test put there."""
    return sorted(each.name for each in folder.iterdir() if each.name not in ("a", "b", "r.yml"))


# -- done ----------------------------------------------------------------------------------------


def test_a_run_ends_with_0_and_names_the_result(cli, recipe, tmp_path):
    found = cli("run", recipe, "--out", "out")
    assert found.status == 0
    assert "out: done" in found.err
    assert left(tmp_path) == ["out"]


def test_a_quiet_run_says_nothing(cli, recipe):
    found = cli("run", "r.yml", "--out", "out", "--quiet")
    assert (found.status, found.out, found.err) == (0, "", "")


def test_a_plan_leaves_nothing_behind(cli, recipe, tmp_path):
    found = cli("plan", recipe, "--out", "out")
    assert (found.status, found.err) == (0, "")
    assert left(tmp_path) == []


def test_a_plan_can_be_had_as_json(cli, recipe):
    assert json.loads(cli("plan", recipe, "--format", "json").out)


def test_a_setting_changes_the_run(cli, recipe):
    cli("run", recipe, "--out", "one", "--set", "models.0.parameters.weight=3")
    found = cli("run", recipe, "--out", "one")
    assert found.status == 2
    assert "holds the result of another plan: a setting, the seed" in found.err


def test_a_result_that_is_as_its_manifest_says_is_told_so(cli, recipe):
    cli("run", recipe, "--out", "out")
    found = cli("verify", "out")
    assert (found.status, found.out) == (0, "out: every tensor is as the manifest says\n")


def test_the_methods_are_listed_one_line_each_in_a_pipe(cli):
    found = cli("methods")
    assert (found.status, found.err) == (0, "")
    lines = found.out.splitlines()
    assert "averaging" in lines
    assert any(line.startswith("  linear ") and line.endswith(".") for line in lines)


def test_a_method_is_shown_with_its_parameters(cli):
    told = cli("methods", "ties").out
    assert told.startswith("ties\n\nKeep the largest changes")
    assert "  density    a number, between 0 and 1, per model" in told


def test_methods_can_be_had_as_json(cli):
    every = json.loads(cli("methods", "--format", "json").out)
    one = json.loads(cli("methods", "ties", "--format", "json").out)
    assert one in every["methods"]


def test_the_recipe_that_is_shown_runs_as_it_is(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = cli("methods", "linear").out
    (tmp_path / "shown.yml").write_text(told[told.index("merge_method:") :])
    assert cli("run", "shown.yml", "--out", "out", "--quiet").status == 0


def test_the_schema_is_printed_as_json(cli):
    assert json.loads(cli("schema").out)["title"] == "mergegraph recipe"


# -- failed while running --------------------------------------------------------------------------


def test_a_run_that_fails_while_running_ends_with_1(cli, recipe, tmp_path, checkpoint):
    checkpoint("nan", {"model.layers.0.w": torch.tensor([[float("nan"), 1]])})
    recipe.write_text(LINEAR.replace("model: b", "model: nan"))
    found = cli("run", recipe, "--out", "out", "--quiet")
    assert found.status == 1
    assert "model.layers.0.w has NaN or infinite entries" in found.err
    assert not (tmp_path / "out").exists()


def test_a_result_that_was_changed_ends_with_1(cli, recipe, tmp_path):
    cli("run", recipe, "--out", "out")
    weights = tmp_path / "out" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    found = cli("verify", "out")
    assert (found.status, found.err) == (1, "out: model.layers.0.w: its bytes differ\n")


# -- wrong from the start ------------------------------------------------------------------------

PLACES = ["run", "plan"]


@pytest.mark.parametrize("command", PLACES)
def test_a_wrong_recipe_ends_with_2_a_line_for_each_problem_and_nothing_written(
    cli, recipe, tmp_path, command
):
    recipe.write_text(LINEAR.replace("{weight: 1}", "{wieght: 1, weight: x}") + "dtype: bf16\n")
    found = cli(command, "r.yml", "--out", "out")
    assert (found.status, found.out) == (2, "")
    assert found.err.splitlines() == [
        "r.yml:4:18: linear has no parameter 'wieght'; did you mean 'weight'?",
        "r.yml:4:37: weight 'x' is not a number",
        "r.yml:6:18: linear has no parameter 'wieght'; did you mean 'weight'?",
        "r.yml:6:37: weight 'x' is not a number",
        "r.yml:7:8: dtype 'bf16' is not one of float32, float16, bfloat16 or float64; "
        "did you mean 'bfloat16'?",
    ]
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("c", "r.yml:3:12: c: no such directory, file or stage"),
        ("./aa", "r.yml:3:12: ./aa: no such directory, file or stage; did you mean 'a'?"),
        ("a+lora", "r.yml:3:12: lora: no such directory, file or stage"),
        ("r.yml", "r.yml:3:12: r.yml: neither a directory nor a file of weights "
         "(.safetensors, .bin, .pt, .pth, .ckpt)"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_had_is_told_where_it_is_named(cli, recipe, reference, told):
    recipe.write_text(LINEAR.replace("model: a", f"model: {reference}"))
    assert cli("run", "r.yml", "--out", "out").err.splitlines() == [told]


def test_problems_of_several_recipes_are_told_together(cli, recipe, tmp_path):
    for name in ("one.yml", "two.yml"):
        (tmp_path / name).write_text(LINEAR + "what: 1\n")
    found = cli("plan", "one.yml", "two.yml")
    assert [line.split(": unknown")[0] for line in found.err.splitlines()] == [
        "one.yml:7:1",
        "two.yml:7:1",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "x.yml"], "x.yml: cannot be read: No such file or directory"),
        (["run", "r.yml", "--memory", "lots"],
         "--memory lots: not a size; write 512MiB, 4GiB or 5GB"),
        (["run", "r.yml", "--memory", "0"], "--memory 0: not a size; write 512MiB, 4GiB or 5GB"),
        (["run", "r.yml", "--shard-size", "-1"],
         "--shard-size -1: not a size; write 512MiB, 4GiB or 5GB"),
        (["run", "r.yml", "--device", "tpu"], "--device tpu: not one of auto, cpu, cuda"),
        (["run", "r.yml", "--set", "seed"],
         "--set seed: write KEY=VALUE, or STAGE:KEY=VALUE for a named stage"),
        (["run", "r.yml", "--out", "a"], "r.yml:1:1: a is an input; write somewhere else"),
        (["plan", "r.yml", "--format", "xml"], "--format xml: not one of text, json, dot, mermaid"),
        (["methods", "ties", "--format", "xml"], "--format xml: not one of text, json"),
        (["methods", "tise"], "no merge method 'tise' is installed; did you mean 'ties'?"),
        (["verify", "r.yml"], "r.yml: no such directory"),
        (["verify", "nowhere"], "nowhere: no such directory"),
        (["reproduce", "a"], "a: holds no mergegraph.json that says how to make it again"),
        (["ancestry", "a"],
         "a: holds no mergegraph.json, and no README.md that names base_model"),
        (["ancestry", "a", "--format", "dot"], "--format dot: not one of text, json, mermaid"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_met_is_one_sentence(cli, recipe, arguments, told):
    found = cli(*arguments)
    assert (found.status, found.out, found.err) == (2, "", f"{told}\n")


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["merge"], ["run", "r.yml", "--thread", "1"], ["run", "r.yml", "--threads", "0"]],
)
def test_a_command_that_is_misspelt_ends_with_2(cli, recipe, arguments):
    assert cli(*arguments).status == 2


def test_a_directory_that_is_in_the_way_is_left_alone(cli, recipe, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    found = cli("run", recipe, "--out", "out", "--restart")
    assert found.status == 2
    assert "exists and is not a result of mergegraph; choose another --out" in found.err
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_debug_shows_where_an_error_comes_from(recipe):
    with pytest.raises(MergeGraphError):
        main(["run", "x.yml", "--debug"])


# -- as a process --------------------------------------------------------------------------------


def process(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        check=False,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_process_ends_with_the_status_and_without_traceback(recipe, tmp_path):
    found = process("-m", "mergegraph", "run", "x.yml", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "x.yml: cannot be read: No such file or directory\n"


def test_debug_prints_the_traceback(recipe, tmp_path):
    found = process("-m", "mergegraph", "run", "x.yml", "--debug", cwd=tmp_path)
    assert found.returncode != 0
    assert "Traceback" in found.stderr
    assert "MergeGraphError: x.yml: cannot be read" in found.stderr


def test_a_file_name_that_is_no_text_is_told_all_the_same(recipe, tmp_path):
    found = process("-m", "mergegraph", "run", os.fsdecode(b"\xff.yml"), cwd=tmp_path)
    assert found.returncode == 2
    assert "cannot be read: No such file or directory" in found.stderr


IMPORTED = """\
import sys
from mergegraph.cli import main
try:
    main(sys.argv[2:])
except SystemExit as end:
    assert not end.code, end.code
print([each for each in sys.argv[1].split(',') if each in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("modules", "arguments"),
    [
        ("torch,numpy,pydantic,networkx,yaml,safetensors,transformers", ["--help"]),
        ("torch,networkx,transformers", ["methods"]),
        ("torch,networkx,transformers", ["methods", "ties"]),
        ("torch,networkx,transformers", ["methods", "--format", "json"]),
        ("torch,networkx,transformers", ["schema"]),
        ("torch,transformers,safetensors", ["plan", "r.yml"]),
    ],
)
def test_what_is_not_needed_is_not_imported(recipe, tmp_path, modules, arguments):
    found = process("-c", IMPORTED, modules, *arguments, cwd=tmp_path)
    assert found.stderr.splitlines()[-1] == "[]", found.stderr


# -- places that cannot be written to ------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "plan"])
def test_an_out_that_is_a_link_to_itself_is_a_sentence(cli, recipe, tmp_path, command):
    (tmp_path / "loop").symlink_to("loop")
    done = cli(command, recipe, "--out", "loop")
    assert done.status == 2
    assert "loop: is a link that leads nowhere; choose another --out" in done.err


@pytest.mark.parametrize("length", [250, 300])
def test_an_out_with_too_long_a_name_is_a_sentence(cli, recipe, length):
    done = cli("run", recipe, "--out", "a" * length)
    assert done.status == 2
    assert "a: cannot be made: File name too long; choose another --out" in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only where there is /dev/full")
def test_an_output_that_is_full_is_a_sentence(recipe):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "mergegraph", "plan", recipe, "--out", "x"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "the output cannot be written: No space left on device\n"
