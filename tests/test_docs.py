"""What README and docs show: recipes that are sound, and commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mergegraph import moe, pipeline
from mergegraph.cli import app
from mergegraph.guide.describing import is_bundled
from mergegraph.kinship import kinship_of
from mergegraph.plugins import installed_plugins
from mergegraph.search.examining import read_examination

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMINING = (ROOT / "docs" / "evaluators.md").read_text()
YAML = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("text", YAML)
def test_a_recipe_of_the_readme_can_be_planned(text, tmp_path):
    (tmp_path / "recipe.yaml").write_text(text)
    assert pipeline.plan(tmp_path / "recipe.yaml", out=tmp_path / "out").plan.outputs


def test_the_commands_of_the_readme_exist():
    shown = set(re.findall(r"^    mergegraph ([\w-]+)", README, re.MULTILINE))
    assert shown == {
        *("plan", "run", "verify", "reproduce", "ancestry", "push", "methods", "schema"),
        *("moe", "extract-lora", "evaluate", "evolve", "breed", "kinship", "report"),
    }
    for command in shown:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_the_options_of_the_command_line_are_those_of_the_design():
    told = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200"}).output
    options = (
        "out",
        "memory",
        "threads",
        "device",
        "seed",
        "shard-size",
        "set",
        "restart",
        "quiet",
    )
    assert all(f"--{option}" in told for option in options)


def test_links_of_the_docs_lead_somewhere():
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_recipe_for_experts_of_the_docs_can_be_planned(tmp_path):
    text = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "moe.md").read_text(), re.DOTALL)[0]
    (tmp_path / "experts.yaml").write_text(text)
    for recipe in (tmp_path / "experts.yaml", ROOT / "examples" / "experts.yaml"):
        plan = moe.prepare(recipe, out=tmp_path / "moe").plan
        assert any("experts.1.w1" in each.name for each in plan.outputs)


def test_the_numbers_and_options_of_kinship_are_those_of_the_docs():
    text = (ROOT / "docs" / "kinship.md").read_text()
    told = CliRunner().invoke(app, ["kinship", "--help"], env={"COLUMNS": "200"}).output
    assert all(option in told for option in re.findall(r"`(--[\w-]+)", text))
    found = kinship_of("demo:base", "demo:north", "demo:east", "demo:south")
    pairs = [(0, 1), (0, 2), (1, 2)]
    numbers = [*(found.pair(i, j) for i, j in pairs), found.group()]
    assert " | ".join(f"{each:.4f}" for each in numbers) in text
    shares = [100 * (found.signs(i, j).agreement or 0) for i, j in pairs]
    assert " | ".join(f"{each:.1f} %" for each in shares) in text


def test_the_options_for_adapters_are_those_of_the_docs():
    text = (ROOT / "docs" / "extract.md").read_text()
    told = CliRunner().invoke(app, ["extract-lora", "--help"], env={"COLUMNS": "200"}).output
    assert all(option in told for option in re.findall(r"`(--[\w-]+)", text))


def test_the_words_for_examinations_of_the_docs_can_be_read(tmp_path, monkeypatch):
    for name in ("valid.txt", "more.txt"):
        (tmp_path / name).write_text("text")
    monkeypatch.chdir(tmp_path)
    told = re.findall(
        r"^\| `\"?((?:demo|perplexity|shell)[^`\"]*[,:][^`\"]*)", EXAMINING, re.MULTILINE
    )
    assert len(told) == 3
    for words in told:
        assert read_examination(words, installed_plugins()).text == words


def test_every_bundled_evaluator_is_in_the_docs():
    names = re.findall(r"^### (\w+)$", EXAMINING, re.MULTILINE)
    packages = installed_plugins().evaluator_packages
    assert names == ["demo", "perplexity", "shell", "lm_eval"]
    assert set(names) == {each for each in packages if is_bundled(packages[each])}


def test_help_tells_the_defaults_that_are_no_values():
    for command in ("run", "evolve", "breed", "kinship", "report"):
        told = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output
        assert "[default: half of what is free]" in told
