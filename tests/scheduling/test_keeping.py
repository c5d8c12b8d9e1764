"""Keeping: which steps all ways to an end lead through."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from mergegraph.scheduling.keeping import _gates


@given(st.data(), st.integers(1, 12))
def test_gates_are_the_immediate_post_dominators(data, count):
    users = [
        sorted(data.draw(st.sets(st.integers(i + 1, count - 1)))) if i + 1 < count else []
        for i in range(count)
    ]
    is_end = [data.draw(st.booleans()) for _ in range(count)]
    outward = nx.DiGraph((i, user) for i in range(count) for user in users[i])
    outward.add_edges_from((i, count) for i in range(count) if is_end[i] or not users[i])
    expected = nx.immediate_dominators(outward.reverse(), count)
    assert _gates(users, is_end) == [expected[i] for i in range(count)]
