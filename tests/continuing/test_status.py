"""Status: what there is of results, whole, at work or unfinished."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from killing import NBYTES, RECIPES, killed

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.trust.status import statuses, statuses_json
from mergegraph.writing.journal import Journal


@pytest.fixture
def unfinished(family, tmp_path):
    killed(family(RECIPES["linear"]), tmp_path / "out", NBYTES)
    return tmp_path / "out"


def test_a_whole_result_is_told(family, tmp_path):
    mergegraph.run(family(RECIPES["linear"]), out=tmp_path / "out")
    (found,) = statuses(tmp_path / "out")
    assert found.text.startswith(
        f"{tmp_path}/out: whole, 2 tensors, 7.6 MiB, of the recipe recipe; "
    )
    assert found.text.endswith("; mergegraph verify reads it all")


def test_unfinished_work_says_how_to_continue(unfinished):
    (found,) = statuses(unfinished)
    first, second, third = found.text.splitlines()
    assert first == f"{unfinished}: unfinished, 1 of 2 tensors are finished (3.9 KiB of 7.6 MiB)"
    assert second.startswith("  nobody is at work on it; the last run began at 20")
    assert third == "  to continue: run its recipe again"


def test_a_run_at_work_is_told(unfinished, tmp_path):
    journal = Journal(tmp_path / "out.partial")
    journal.open()
    journal.run(["mergegraph", "run", "a b.yaml"])
    (found,) = statuses(unfinished)
    assert found.is_at_work
    assert "is at work since 20" in found.text
    journal.close()
    assert statuses(unfinished)[0].text.endswith("to continue: mergegraph run 'a b.yaml'")


def test_a_folder_stands_for_what_is_in_it(unfinished, tmp_path):
    mergegraph.run(tmp_path / "recipe.yaml", out=tmp_path / "whole")
    told = json.loads(statuses_json(statuses(tmp_path)))
    states = {each["path"]: each["state"] for each in told}
    assert states == {str(unfinished): "unfinished", f"{tmp_path}/whole": "whole"}
    assert statuses(tmp_path / "out.partial") == statuses(unfinished)


def test_a_file_that_is_cut_is_damage(family, tmp_path):
    mergegraph.run(family(RECIPES["linear"]), out=tmp_path / "out")
    (tmp_path / "out" / "model.safetensors").write_bytes(b"")
    told = "damaged: model.safetensors is missing or cut; make it anew with --restart"
    assert statuses(tmp_path / "out")[0].text.endswith(told)


def test_a_command_is_told_with_the_folder_it_was_typed_in(unfinished, tmp_path, monkeypatch):
    journal = Journal(tmp_path / "out.partial")
    journal.open()
    journal.run(["mergegraph", "run", "a.yaml"])
    journal.close()
    before = Path.cwd()
    monkeypatch.chdir(tmp_path)
    assert statuses(unfinished)[0].text.endswith(f"continue, in {before}: mergegraph run a.yaml")


def test_one_that_cannot_be_read_hides_no_other(family, tmp_path):
    mergegraph.run(family(RECIPES["linear"]), out=tmp_path / "in" / "out")
    (tmp_path / "in" / "bad").mkdir()
    (tmp_path / "in" / "bad" / "mergegraph.json").write_text("{")
    bad, good = statuses(tmp_path / "in")
    assert bad.text.startswith(f"{tmp_path}/in/bad: damaged: ")
    assert good.is_whole


def test_a_journal_that_holds_nothing_is_damage(tmp_path):
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "mergegraph.journal").write_bytes(b"garbage\n")
    assert statuses(tmp_path)[0].damage == "its journal is damaged, so a run begins anew"


def test_a_file_that_went_is_damage(unfinished, tmp_path):
    (tmp_path / "out.partial" / "model.safetensors").unlink()
    assert statuses(unfinished)[0].damage.endswith("its file is missing; a run begins anew")


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(MergeGraphError, match="holds no result of mergegraph, nor an unfinished"):
        statuses(tmp_path)
