"""Patterns: what is made again of other inputs is what it would have been anyway."""

from __future__ import annotations

import pytest

from mergegraph import Spec, ops
from mergegraph.files.reading import MemoryEntry
from mergegraph.ops.arithmetic import cast, load
from mergegraph.ops.order import prune_by_magnitude
from mergegraph.stages.patterns import kind_of, pattern_of


def loaded(name, dtype="bfloat16"):
    return load(entry=MemoryEntry(None, Spec((4, 6), dtype), name))


def merged(base, *models):
    """A merge with folds, a scan and numbers of all kinds."""
    deltas = [prune_by_magnitude(ops.delta(each, base), density=0.5) for each in models]
    signs = ops.elect(*deltas, weights=[1, 0.5], by="sum")
    return cast(ops.fuse_elected(base, signs, *deltas, weights=[1, 0.5]), "bfloat16")


def family(*names):
    return [cast(loaded(name), "float32") for name in names]


def test_tasks_made_again_have_the_keys_of_those_that_are_defined():
    pattern = pattern_of(merged(*family("a", "b", "c")), family("a", "b", "c"))
    again, defined = pattern.on(family("d", "e", "f")), merged(*family("d", "e", "f"))
    assert again == defined
    assert (again.spec, again.is_small) == (defined.spec, defined.is_small)


def test_an_input_may_be_the_result():
    a, b, c, d = family("a", "b", "c", "d")
    assert pattern_of(b, [a, b]).on([c, d]) is d


@pytest.mark.parametrize(
    "inputs", [family("a", "b"), family("a", "b", "b")], ids=["another input", "the same twice"]
)
def test_there_is_no_pattern_where_inputs_cannot_be_told_apart(inputs):
    assert pattern_of(merged(*family("a", "b", "c")), inputs) is None


def test_inputs_of_one_shape_that_are_stored_otherwise_are_of_another_kind():
    """A cast to the dtype that is stored vanishes: what a method makes depends on it."""
    kinds = {kind_of(cast(loaded("a", dtype), "float32")) for dtype in ("bfloat16", "float16")}
    assert len(kinds) == 2
