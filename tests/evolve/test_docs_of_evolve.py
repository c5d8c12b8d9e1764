"""What the page about searches shows runs as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mergegraph.cli import app
from mergegraph.evolve.command import prepare_search
from mergegraph.evolve.options import Options
from mergegraph.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evolve.md").read_text("utf-8")
RECIPES = re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
COMMAND = re.findall(r"^    mergegraph (evolve .*)$", PAGE, re.MULTILINE)[0].split()
EXAMPLE = ("evolve.yaml", (ROOT / "examples" / "evolve.yaml").read_text("utf-8"))


@pytest.mark.parametrize(("name", "text"), [*RECIPES, EXAMPLE], ids=lambda each: each[:20])
def test_recipes_can_be_searched(tmp_path, name, text):
    (tmp_path / name).write_text(text, "utf-8")
    settings = Settings(memory="256MiB", threads=1)
    made = prepare_search(
        tmp_path / name, tmp_path / "out", Options("demo", sampler="random"), settings=settings
    )
    assert len(made.request.space.genes) > 2
    assert not (tmp_path / "out").exists()


def test_the_command_does_what_it_says(tmp_path, monkeypatch):
    pytest.importorskip("cmaes")
    monkeypatch.chdir(tmp_path)
    (tmp_path / RECIPES[0][0]).write_text(RECIPES[0][1], "utf-8")
    few = [*COMMAND, "--memory", "256MiB", "--threads", "1"]
    few[few.index("demo")] = "demo,problems=5"
    few[few.index("40")] = "6"
    done = CliRunner().invoke(app, few)
    assert done.exit_code == 0, done.output
    made = {each.name for each in (tmp_path / "searched").iterdir()}
    assert made == {"best.yaml", "model", "search.json", "trials.csv", "search.journal"}
    assert all(f"`{each}" in PAGE for each in made)


def test_options_are_those_of_the_page():
    told = CliRunner().invoke(app, ["evolve", "--help"], env={"COLUMNS": "200"}).output
    named = set(re.findall(r"`(--[\w-]+)", PAGE)) - {"--set"}
    assert {each for each in named if each not in told} == set()
