"""The journal of an unfinished result."""

from __future__ import annotations

from zlib import crc32

import pytest
import torch

from mergegraph import MergeGraphError
from mergegraph.running.milestones import Milestone
from mergegraph.writing.journal import (
    JOURNAL,
    Journal,
    milestone_line,
    read_journal,
    tensor_line,
    values_line,
)

BOND = {"the plan": "p"}


def summed(text):
    """A line with its checksum."""
    return b"%08x %s\n" % (crc32(text), text)


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path)
    made.open()
    made.begin(BOND)
    yield made
    made.close()


def test_what_is_noted_is_read(journal, tmp_path):
    journal.write(tensor_line("a", "1"))
    journal.write(tensor_line("b", "2"))
    found = read_journal(tmp_path)
    assert (found.bond, found.finished) == (BOND, {"a": "1", "b": "2"})


def test_values_and_milestones_come_back_bit_by_bit(journal, tmp_path):
    values = {
        "sum": torch.tensor(0.1, dtype=torch.float64),
        "none": torch.empty(0, 3),
        "half": torch.tensor([[1.5, float("nan")]], dtype=torch.bfloat16),
    }
    journal.write(values_line(values))
    journal.write(milestone_line("pass", Milestone(70, {"sum": values["sum"]}, ("d",))))
    found = read_journal(tmp_path)
    for key, value in values.items():
        assert found.values[key].dtype == value.dtype
        assert torch.equal(found.values[key].nan_to_num(), value.nan_to_num())
    assert found.milestones["pass"].entries == 70
    assert found.milestones["pass"].digests == ("d",)
    assert found.milestones["pass"].state == {"sum": values["sum"]}


def test_a_journal_that_is_not_there_tells_nothing(tmp_path):
    assert read_journal(tmp_path / "nowhere").bond == {}
    assert not read_journal(tmp_path / "nowhere").is_damaged


def test_a_journal_may_be_cut_anywhere(journal, tmp_path):
    journal.run(["mergegraph", "run"])
    journal.write(tensor_line("a", "1"))
    journal.write(values_line({"k": torch.ones(3)}))
    journal.close()
    data = (tmp_path / JOURNAL).read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data)):
        (tmp_path / JOURNAL).write_bytes(data[:cut])
        assert read_journal(tmp_path).nbytes == max([0, *(end for end in ends if end <= cut)])


@pytest.mark.parametrize(
    "line",
    [
        b"\0\0\0\n",
        b'{"tensor": "b", "sha256": "3"}\n',
        summed(b"[]"),
        summed(b'{"tensor": "b"}'),
        summed(b'{"values": {"k": ["float32", [2], "eA=="]}}'),
        summed(b'{"values": {"k": ["float32", [-1], ""]}}'),
        summed(b'{"pass": "p", "entries": "many", "digests": [], "state": {}}'),
        summed(b"[" * 100_000),
    ],
)
def test_what_follows_a_broken_line_counts_for_nothing(journal, tmp_path, line):
    journal.write(tensor_line("a", "1"))
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(line)
    journal.write(tensor_line("b", "2"))
    assert read_journal(tmp_path).finished == {"a": "1"}


def test_a_bit_that_turned_is_noticed(journal, tmp_path):
    journal.write(tensor_line("a", "1"))
    journal.write(tensor_line("b", "2"))
    data = bytearray((tmp_path / JOURNAL).read_bytes())
    data[data.index(b'"b"') + 1] ^= 1
    (tmp_path / JOURNAL).write_bytes(data)
    assert read_journal(tmp_path).finished == {"a": "1"}


def test_a_line_that_was_cut_off_is_written_over(journal, tmp_path):
    journal.write(tensor_line("a", "1"))
    journal.close()
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"tensor": "b", "sha')
    journal.open()
    journal.go_on(read_journal(tmp_path).nbytes)
    journal.write(tensor_line("c", "3"))
    assert read_journal(tmp_path).finished == {"a": "1", "c": "3"}


def test_one_run_at_a_time_has_the_journal(journal, tmp_path):
    journal.run(["mergegraph", "run"])
    with pytest.raises(MergeGraphError, match=r"another run is at work on it \(process \d+ on "):
        Journal(tmp_path).open()
    journal.close()
    journal.open()
