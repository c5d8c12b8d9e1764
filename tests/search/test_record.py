"""Records: what is read of a search, and what is said of one that is broken."""

from __future__ import annotations

import pytest
from samples import bred, evolved, written

from mergegraph import MergeGraphError
from mergegraph.search.record import Bred, Evolved, read_record, write_record

MADE = [evolved(), bred()]


def test_both_kinds_are_read(tmp_path):
    assert isinstance(read_record(written(tmp_path / "e", evolved())), Evolved)
    assert isinstance(read_record(written(tmp_path / "b", bred())), Bred)


def test_a_record_is_read_as_it_was_written(tmp_path):
    for record in (read_record(written(tmp_path / f"{made['kind']}-old", made)) for made in MADE):
        write_record(tmp_path, record)
        assert read_record(tmp_path) == record


def test_a_record_of_a_newer_version_is_refused(tmp_path):
    folder = written(tmp_path, evolved(format=2))
    with pytest.raises(MergeGraphError, match=r"format 2.* up to 1; read it with the version"):
        read_record(folder)


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {},
        {"kind": ["evolve"]},
        {"kind": "evolve"},
        evolved(objectives=()),
        evolved(trials=[{"number": "one"}]),
        evolved(genes=7),
        bred(kinship={"names": ["a"], "matrix": []}),
        bred(members=[{"name": "a"}]),
    ],
)
def test_a_broken_record_is_told_with_its_place(tmp_path, broken):
    with pytest.raises(MergeGraphError, match=r"search\.json"):
        read_record(written(tmp_path, broken))
