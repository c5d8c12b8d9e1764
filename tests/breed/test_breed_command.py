"""The command: what is typed in, what is printed, and what a kill leaves."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command

from mergegraph import pipeline
from mergegraph.cli import app, main

DOCS = Path(__file__).parents[2] / "docs" / "breed.md"
MODELS = ["demo:north", "demo:east", "demo:south"]
ASKED = ["--base", "demo:base", "--evaluator", "demo,problems=3", "--max-generations", "1"]
WORDS = ["breed", *MODELS, *ASKED, "--threads", "1", "--memory", "256MiB"]


def breed(*words):
    with pytest.raises(SystemExit) as end:
        main([*WORDS, *words])
    assert end.value.code == 0


def digests(folder):
    tensors = json.loads((folder / "mergegraph.json").read_text())["tensors"]
    return {name: each["sha256"] for name, each in tensors.items()}


def record_of(folder):
    told = (folder / "search.json").read_text()
    return json.loads(told, object_hook=lambda each: {**each, "seconds": None})


def test_best_model_is_made_and_its_recipe_replays_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    breed("--report-evaluator", "demo,problems=3", "--out", "bred")
    told = capsys.readouterr()
    record = record_of(tmp_path / "bred")
    assert f"{record['best']} *" in told.out
    assert "demo,problems=3:test: " in told.out
    assert "model-1-1 = demo:north × demo:east: average" in told.err
    pipeline.run("bred/best.yaml", out="again", threads=1)
    assert digests(tmp_path / "again") == digests(tmp_path / "bred" / "model")


def test_search_that_is_killed_twice_ends_as_one_that_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "mergegraph", *WORDS, "--no-model", "--out"]
    for lines in (3, 6):
        process = subprocess.Popen([*command, "killed"], stderr=subprocess.DEVNULL)
        journal = tmp_path / "killed" / "search.journal"
        while process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
                process.send_signal(signal.SIGKILL)
                process.wait()
            time.sleep(0.002)
        assert process.returncode == -signal.SIGKILL
    breed("--no-model", "--quiet", "--out", "killed")
    breed("--no-model", "--quiet", "--out", "whole")
    assert record_of(tmp_path / "killed") == record_of(tmp_path / "whole")
    left = {each.name for each in (tmp_path / "whole").iterdir()}
    assert {each.name for each in (tmp_path / "killed").iterdir()} == left


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["--strategy", "soup", "--k", "2"], "--k: changes nothing with --strategy soup"),
        (["--strategy", "cold", "--no-model"], "--no-model: changes nothing with --strategy cold"),
        (["--accept", ">"], "--accept: changes nothing with --strategy topk; it is for soup"),
        (["--strategy", "best"], "--strategy best: not one of topk, soup, cold"),
        (["--early-stop", "0.5", "--no-early-stop"], "give one of them"),
        (["--parameter", "t"], "--parameter t: write NAME=VALUE"),
        (["--parameter", "t=1", "--parameter", "t=0"], "--parameter t: is given twice"),
        (["--report-evaluator", "demo:validation"], "chooses and reports"),
        (["--maximize", "north", "--minimize", "east"], "one score is looked for"),
    ],
)
def test_requests_without_sense_are_refused(tmp_path, capsys, words, fact):
    base = [] if "soup" in words else ["--base", "demo:base"]
    asked = ["breed", *MODELS, *base, "--evaluator", "demo", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as end:
        main([*asked, *words])
    assert end.value.code == 2
    assert fact in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_evaluator_is_needed(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["breed", *MODELS, "--base", "demo:base", "--out", str(tmp_path / "out")])
    assert "--evaluator is missing; installed are demo," in capsys.readouterr().err


def test_options_are_those_of_the_docs():
    told = set(re.findall(r"--[a-z][a-z-]*", DOCS.read_text(encoding="utf-8")))
    command = get_command(app).commands["breed"]  # type: ignore[attr-defined]
    known = {word for each in command.params for word in (*each.opts, *each.secondary_opts)}
    assert told - {"--strategy"} <= known
    common = {"--debug", "--quiet", "-q", "--threads", "--seed"}
    assert {each for each in known if each.startswith("--")} - told <= common
