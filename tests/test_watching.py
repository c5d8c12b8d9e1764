"""Which checks are made, and which are seen in the results of others."""

from __future__ import annotations

import pytest

from mergegraph import ops
from mergegraph.findings import Check
from mergegraph.ops.folds import count_nonfinite
from mergegraph.tasks import EVERY, op
from mergegraph.testing import ConformanceError, check_op, constant
from mergegraph.testing.kernels import random_tensor
from mergegraph.watching import essential

A, B, C = (constant(random_tensor((4, 4), seed)) for seed in range(3))


def check(task, fact="", *, is_fatal=True):
    return Check(count_nonfinite(task), fact, is_fatal=is_fatal)


def kept(roots, checks):
    """The checks to be made by their facts, each with the facts of its causes."""
    made = essential(roots, checks)
    return {each.fact: [cause.fact for cause in each.causes] for each in made}


def test_inputs_of_a_sum_are_seen_in_it():
    total = ops.average(A, B, weights=(1.0, 0.0))
    checks = [check(A, "a"), check(B, "b"), check(total, "sum")]
    assert kept([total], checks) == {"sum": ["a", "b"]}


def test_what_may_be_lost_on_the_way_is_looked_at():
    pruned = ops.prune_by_magnitude(ops.delta(A, B), density=0.5)
    result = ops.fuse(B, pruned, weights=(1.0,))
    checks = [check(A, "a"), check(B, "b"), check(result, "result")]
    assert kept([result], checks) == {"a": [], "result": ["b"]}


def test_warnings_are_looked_at_in_any_case():
    total = ops.scale(A, factor=2.0)
    assert kept([total], [check(A, "a", is_fatal=False), check(total, "sum")]) == {
        "a": [],
        "sum": [],
    }


def test_a_result_that_nobody_needs_stands_for_nothing():
    """It is not computed, so that what it is made of must be looked at."""
    unused, pruned = ops.scale(A, factor=2.0), ops.prune_by_magnitude(A, density=0.5)
    checks = [check(A, "a"), check(unused, "unused"), check(pruned, "result")]
    assert kept([pruned], checks) == {"a": [], "unused": [], "result": []}


def test_what_is_on_the_way_stands_for_its_inputs():
    stage = ops.average(A, B, weights=(1.0, 1.0))
    pruned = ops.prune_by_magnitude(ops.delta(stage, C), density=0.5)
    checks = [check(A, "a"), check(stage, "stage"), check(pruned, "result")]
    assert kept([pruned], checks) == {"stage": ["a"], "result": []}


def test_ops_that_lose_what_they_are_to_carry_are_found():
    @op(cut="pointwise", carries=EVERY)
    def positive(tensor):
        return tensor.clamp(min=0).nan_to_num()

    with pytest.raises(ConformanceError, match=r"carry its first .* nan in input 1 gets lost"):
        check_op(positive)


@pytest.mark.parametrize("name", ["delta", "stack", "fuse", "average"])
def test_bundled_ops_carry_what_they_say(name):
    """Also what weighs nothing."""
    weighed = {"weights": (0.0, 1.0)} if name in ("fuse", "average") else {}
    given = (A, B, C) if name == "fuse" else (A, B)
    made = getattr(ops, name)
    assert made.carries == EVERY
    check_op(made, *given, **weighed)
