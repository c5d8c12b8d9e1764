"""The journal of a search: one process has it, and nothing of it is lost in silence."""

from __future__ import annotations

import pytest

from mergegraph import MergeGraphError
from mergegraph.lines import Lines, is_taken
from mergegraph.search.journal import FILE, Journal, check_bond

BOND = {"the recipe": "r"}


@pytest.fixture
def folder(tmp_path):
    """A folder with a journal of two facts."""
    with Journal(tmp_path, BOND) as journal:
        journal.note("score", "a", 1)
        journal.note("score", "b", 2)
    return tmp_path


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_damaged_line_is_told_and_nothing_is_cut(folder, number):
    lines = (folder / FILE).read_bytes().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(b": ", b"; ", 1)
    (folder / FILE).write_bytes(b"".join(lines))
    for _ in range(2):
        with pytest.raises(MergeGraphError, match=f"{FILE}:{number}: is damaged.*--restart"):
            Journal(folder, BOND).open()
    assert (folder / FILE).read_bytes() == b"".join(lines)
    with Journal(folder, BOND, restart=True) as journal:
        assert journal.had == 0


def test_a_line_that_a_kill_cut_is_found_out_again(folder):
    data = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(data[:-3])
    with Journal(folder, BOND) as journal:
        assert dict(journal.facts("score")) == {"a": 1}
        journal.note("score", "b", 2)
    assert (folder / FILE).read_bytes() == data


def test_a_journal_that_cannot_be_opened_is_let_go(folder):
    lines = Lines(folder / FILE)
    lines.open()
    lines.write({"kind": "of another sort"})
    lines.close()
    with pytest.raises(KeyError):
        Journal(folder, BOND).open()
    assert not is_taken(folder / FILE)


@pytest.mark.parametrize("restart", [True, False])
def test_a_folder_without_a_search_is_left_alone(tmp_path, restart):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(MergeGraphError, match=r"holds thesis\.txt, and no search"):
        check_bond(tmp_path, BOND, restart=restart)
