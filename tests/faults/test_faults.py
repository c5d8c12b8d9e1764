"""After any fault: a sentence, a failure, nothing that looks whole, and then the right bytes.

Every case is a run of the command line in a process of its own, with the fault, and one without it
after that. `faultlist` has the table of them, `trials` the laws.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from faultlist import FAULTS, sweep
from trials import violations

# the others are tried by the campaign, which takes minutes
OFTEN = {
    "full while shards are written",
    "full for a side file",
    "limit of a file's size",
    "tensor cannot be read",
    "side file cannot be read when it is copied",
    "result cannot be renamed, an empty directory stood there",
    "sync fails",
    "folders cannot be synced",
    "short reads of tensors",
    "short writes of tensors",
    "nothing is written",
    "signals all the time",
    "weights rewritten",
    "weights rewritten, time put back",
    "weights cut",
    "side file cut while it is copied",
    "memory refused",
    "no threads",
    "clocks jump",
    "killed before the renaming",
}
OF_THE_SWEEP = 4


def test_names_of_faults_are_their_own():
    assert len({each.name for each in FAULTS}) == len(FAULTS)
    assert {each.name for each in FAULTS} >= OFTEN


@pytest.mark.parametrize(
    "fault", [each for each in FAULTS if each.name in OFTEN], ids=lambda f: f.name
)
def test_a_fault_costs_nothing_but_time(fault, launcher, model, known):
    reference, counts = known
    assert violations(launcher, fault, model, "case", reference, counts) == []


def test_any_call_may_fail(launcher, model, known):
    """A few of all calls that a run makes, drawn anew every day that the tests run on."""
    reference, counts = known
    seed = os.environ.get("GITHUB_RUN_ID", "0")
    for fault in Random(seed).sample(list(sweep(counts)), OF_THE_SWEEP):
        assert violations(launcher, fault, model, "any", reference, counts) == []
