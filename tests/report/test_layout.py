"""Layout: boxes do not touch, arrows go right, circles end."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mergegraph.report.layout import arranged


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 12))
    nodes = [f"n{i}" for i in range(count)]
    pairs = st.tuples(st.sampled_from(nodes), st.sampled_from(nodes))
    return nodes, draw(st.lists(pairs, max_size=20))


@given(graphs())
def test_boxes_of_a_column_do_not_touch(graph):
    nodes, edges = graph
    places = arranged(nodes, edges, dict.fromkeys(nodes, 30.0), gap=10.0)
    for column in set(places.columns.values()):
        own = sorted(places.middles[n] for n in nodes if places.columns[n] == column)
        assert all(b - a >= 40 - 1e-6 for a, b in pairwise(own))
    assert all(15 - 1e-6 <= m <= places.height - 15 + 1e-6 for m in places.middles.values())


@given(graphs())
def test_arrows_go_right_where_there_is_no_circle(graph):
    nodes, edges = graph
    ahead = [(a, b) for a, b in edges if int(a[1:]) < int(b[1:])]
    places = arranged(nodes, ahead, dict.fromkeys(nodes, 30.0))
    assert all(places.columns[a] < places.columns[b] for a, b in ahead)


def test_an_arrow_over_a_column_has_a_place_in_it():
    places = arranged("abc", [("a", "b"), ("b", "c"), ("a", "c")], dict.fromkeys("abc", 30.0))
    assert [column for column, _ in places.bends["a", "c"]] == [1]
    assert places.middles["b"] != places.bends["a", "c"][0][1]
