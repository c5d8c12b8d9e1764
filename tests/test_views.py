"""Views: which entries a strip consists of, read from a file as from memory."""

from itertools import product
from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from mergegraph.files.header import read_header
from mergegraph.files.reading import Reader
from mergegraph.files.views import boxes, view_of


@given(st.data())
def test_boxes_are_the_entries_of_a_strip_in_order(data):
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    numel = prod(sizes)
    start = data.draw(st.integers(0, numel))
    stop = data.draw(st.integers(start, numel))
    places = {at: i for i, at in enumerate(product(*map(range, sizes)))}
    found = []
    for first, box in boxes(start, stop, sizes):
        inside = [places[at] for at in product(*(range(*each) for each in box))]
        assert inside[0] == first
        found += inside
    assert found == list(range(start, stop))


@pytest.fixture
def entry(tmp_path):
    """A stored matrix, and where it is."""
    matrix = torch.randint(0, 256, (1100, 1000), dtype=torch.uint8)
    save_file({"before": torch.ones(3), "w": matrix}, tmp_path / "m.safetensors")
    return matrix, read_header(tmp_path / "m.safetensors").entries["w"]


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (5, 5), (999, 70_001), (0, 1_100_000)])
def test_a_file_is_read_in_another_order(entry, start, stop):
    """It is larger than the scratch space, so that boxes are cut."""
    matrix, stored = entry
    view = view_of(stored, (1000, 1100), (1, 1000), (1000, 1100))
    with Reader({}) as reader:
        found = reader.read(view, start, stop)
    assert found.equal(matrix.T.reshape(-1)[start:stop])


def test_what_is_read_for_a_view_is_the_stored_tensor(entry):
    _, stored = entry
    view = view_of(stored, (5, 2), (1, 0), (10,))
    assert view.parts == (stored,)
    assert view.identity != stored.identity
    assert view.identity != view_of(stored, (2, 5), (0, 1), (10,)).identity
