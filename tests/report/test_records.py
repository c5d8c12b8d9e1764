"""Records: what is read of a search, and what is said of one that is broken."""

from __future__ import annotations

import pytest
from samples import bred, evolved, written

from mergegraph import MergeGraphError
from mergegraph.report.records import Bred, Evolved, read_record


def test_both_kinds_are_read(tmp_path):
    assert isinstance(read_record(written(tmp_path / "e", evolved())), Evolved)
    assert isinstance(read_record(written(tmp_path / "b", bred())), Bred)


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
