"""The winner's model is replaced where it is the search's own, and nothing else is."""

from __future__ import annotations

import pytest

from mergegraph import MergeGraphError, pipeline
from mergegraph.search.folder import BEST, MODEL, clear
from mergegraph.search.winner import prepare_winner
from mergegraph.settings import Settings

BOND = {"the models": "a, b"}
SETTINGS = Settings(memory="64MiB", threads=1)


@pytest.fixture
def folder(checkpoint, tmp_path):
    for name, value in {"a": 1.0, "b": 2.0}.items():
        checkpoint(name, w=[value])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "search.journal").touch()
    return tmp_path / "out"


def best(folder, name):
    model = f"{{model: {folder.parent / name}, parameters: {{weight: 1}}}}"
    (folder / BEST).write_text(f"merge_method: linear\nmodels: [{model}]\n")


def test_another_winner_replaces_that_of_before(folder):
    for name in "ab":
        best(folder, name)
        pipeline.finish(prepare_winner(folder, BOND, SETTINGS))
    best(folder, "b")
    assert prepare_winner(folder, BOND, SETTINGS).found[folder / MODEL].is_done


def test_a_result_that_was_there_is_not_replaced(folder):
    best(folder, "a")
    pipeline.run(folder / BEST, out=folder / MODEL)
    best(folder, "b")
    with pytest.raises(MergeGraphError, match="holds the result of another plan"):
        prepare_winner(folder, BOND, SETTINGS)


def test_clearing_takes_what_any_search_leaves_and_nothing_else(folder):
    best(folder, "a")
    pipeline.run(folder / BEST, out=folder / MODEL)
    for name in ("pareto/00.yaml", "recipes/m.yaml", "generation-1.yaml", "trials.csv", "mine.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    clear(folder)
    assert {each.name for each in folder.iterdir()} == {"search.journal", "mine.txt"}
