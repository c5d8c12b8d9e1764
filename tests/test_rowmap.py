"""Row maps: runs of rows, and the pieces of a strip."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from mergegraph.files.reading import MemoryEntry, Reader
from mergegraph.ops.arithmetic import load
from mergegraph.rowmap import ABSENT, RowMap, Run
from mergegraph.spec import Spec


def test_rows_on_end_are_one_run():
    found = RowMap.of_rows([2, 3, 4, -1, -1, 0, 1, 3], of=5)
    assert found.runs == (Run(2, 3), Run(ABSENT, 2), Run(0, 2), Run(3, 1))


def test_equal_maps_have_one_identity():
    first, second = RowMap.of_rows([1, 0], of=2), RowMap.of_rows([1, 0], of=3)
    assert first.identity == RowMap.of_rows([1, 0], of=2).identity != second.identity


def test_a_map_that_takes_the_first_rows_is_plain():
    assert RowMap.of_rows([0, 1], of=3).is_plain
    assert not RowMap.of_rows([1, 2], of=3).is_plain
    assert not RowMap.of_rows([-1], of=3).is_plain


@st.composite
def strips(draw):
    """Rows, their width, and a strip of the new tensor."""
    of, width = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    rows = draw(st.lists(st.integers(-1, of - 1), max_size=12))
    start = draw(st.integers(0, len(rows) * width))
    return rows, of, width, start, draw(st.integers(start, len(rows) * width))


@given(strips())
def test_a_strip_holds_what_the_map_says(drawn):
    rows, of, width, start, stop = drawn
    tensor = torch.arange(1.0, of * width + 1).reshape(of, width)
    rows_of = [tensor[row] if row >= 0 else torch.zeros(width) for row in rows]
    whole = torch.cat([*rows_of, torch.zeros(0)])
    entry = MemoryEntry(tensor, Spec.of(tensor), "x")
    found = Reader({}).read(entry, start, stop, rows=RowMap.of_rows(rows, of))
    assert torch.equal(found, whole[start:stop])


def test_a_mapped_load_has_the_rows_of_its_map():
    entry = MemoryEntry(None, Spec((5, 7), "bfloat16"), "x")
    assert load(entry=entry, rows=RowMap.of_rows([0, 4], of=5)).spec == Spec((2, 7), "bfloat16")


def test_a_single_row_has_the_tokens_in_it():
    entry = MemoryEntry(None, Spec((1, 7), "float32"), "x")
    assert load(entry=entry, rows=RowMap.of_rows([0, 4, 5], of=7)).spec.shape == (1, 3)


def test_maps_make_tasks_of_their_own():
    entry = MemoryEntry(None, Spec((5, 7), "float32"), "x")
    first, second = (load(entry=entry, rows=RowMap.of_rows(rows, of=5)) for rows in ([1], [2]))
    assert len({first.key, second.key, load(entry=entry).key}) == 3


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=8), st.data())
def test_maps_follow_one_another(rows, data):
    others = data.draw(st.lists(st.integers(-1, len(rows) - 1), max_size=8))
    found = RowMap.of_rows(rows, of=6).then(RowMap.of_rows(others, of=len(rows)))
    assert list(found) == [rows[other] if other >= 0 else ABSENT for other in others]
