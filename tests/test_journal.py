"""The journal of an unfinished result."""

from __future__ import annotations

import pytest

from mergegraph import MergeGraphError
from mergegraph.writing.journal import JOURNAL, Journal, read_journal


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path)
    made.open()
    made.begin("plan")
    yield made
    made.close()


def test_what_is_noted_is_read(journal, tmp_path):
    journal.note("a", "1")
    journal.note("b", "2")
    assert read_journal(tmp_path, "plan") == {"a": "1", "b": "2"}


def test_a_journal_of_another_plan_is_told_from_an_empty_one(journal, tmp_path):
    assert read_journal(tmp_path, "other") is None
    assert read_journal(tmp_path / "nowhere", "other") == {}


def test_a_line_that_was_cut_off_counts_for_nothing_and_is_written_over(journal, tmp_path):
    journal.note("a", "1")
    journal.close()
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"tensor": "b", "sha')
    assert read_journal(tmp_path, "plan") == {"a": "1"}
    journal.open()
    journal.go_on()
    journal.note("c", "3")
    assert read_journal(tmp_path, "plan") == {"a": "1", "c": "3"}


def test_one_run_at_a_time_has_the_journal(journal, tmp_path):
    with pytest.raises(MergeGraphError, match="another run is at work on it"):
        Journal(tmp_path).open()
    journal.close()
    journal.open()
