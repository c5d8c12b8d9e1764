"""Gradients and filters."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mergegraph.recipe.values import Rule, interpolate

NUMBERS = st.floats(-100, 100) | st.integers(-100, 100)
PLACES = st.floats(0, 1)


@given(st.lists(NUMBERS, min_size=2, max_size=8), PLACES)
def test_a_gradient_is_the_broken_line_through_its_anchors(anchors, t):
    """Each anchor weighs 1 at its own place, 0 at its neighbours', and falls straight between."""
    place = t * (len(anchors) - 1)
    line = sum(max(0.0, 1 - abs(place - i)) * each for i, each in enumerate(anchors))
    assert interpolate(tuple(anchors), t) == pytest.approx(line, abs=1e-9)


@given(st.lists(NUMBERS, min_size=1, max_size=8))
def test_a_gradient_begins_and_ends_at_its_anchors(anchors):
    assert interpolate(tuple(anchors), 0.0) == anchors[0]
    assert interpolate(tuple(anchors), 1.0) == anchors[-1]


@given(NUMBERS, PLACES)
def test_a_gradient_of_one_anchor_is_flat(anchor, t):
    assert interpolate((anchor,), t) == anchor


@pytest.mark.parametrize(
    ("t", "word"), [(0.0, "a"), (0.49, "a"), (0.5, "b"), (0.99, "b"), (1, "c")]
)
def test_words_are_not_interpolated(t, word):
    assert interpolate(("a", "b", "c"), t) == word


def test_switches_are_not_interpolated():
    assert interpolate((False, True), 0.9) is False


@pytest.mark.parametrize(
    ("part", "matches"),
    [(None, True), ("mlp", True), ("mlp.up", True), ("MLP", False), (".*", False)],
)
def test_a_filter_is_a_part_of_the_name_and_no_pattern(part, matches):
    assert Rule(part, (1.0,), is_gradient=False, place="").matches("layers.0.mlp.up") == matches


def test_a_number_is_the_same_everywhere_and_a_gradient_is_not():
    assert Rule(None, (1.0,), is_gradient=False, place="").at(0.5) == 1.0
    assert Rule(None, (1.0, 2.0), is_gradient=True, place="").at(0.5) == 1.5
