"""Clustering: what is nearest stands together, and heights are mean distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergegraph.report.clustering import clustered


def heights(branch):
    return [h for part in branch.parts for h in heights(part)] + [branch.height] * bool(
        branch.parts
    )


def test_a_pair_is_joined_before_the_third():
    tree = clustered([[0, 0.9, 0.1], [0.9, 0, 0.8], [0.1, 0.8, 0]])
    assert list(tree.leaves) in ([0, 2, 1], [1, 0, 2])
    assert heights(tree) == pytest.approx([0.1, 0.85])


@given(st.integers(1, 9), st.integers(0, 99))
def test_heights_never_fall_and_every_leaf_is_there(count, seed):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2).tolist()
    tree = clustered(distances)
    assert sorted(tree.leaves) == list(range(count))

    def check(branch):
        for part in branch.parts:
            assert part.height <= branch.height
            check(part)

    check(tree)


def test_heights_are_those_of_average_linkage():
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    points = np.random.default_rng(0).normal(size=(8, 4))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    wanted = hierarchy.average(distances[np.triu_indices(8, 1)])[:, 2]
    assert sorted(heights(clustered(distances.tolist()))) == pytest.approx(wanted)


def test_what_is_no_number_stands_far():
    nan = float("nan")
    tree = clustered([[0, nan, 0.5], [nan, 0, nan], [0.5, nan, 0]])
    assert sorted(heights(tree)) == [0.5, 2.0]
