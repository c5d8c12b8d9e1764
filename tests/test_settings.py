"""Settings: what a run may take of the machine, and what the plan is told of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergegraph import MergeGraphError, explaining, pipeline, settings
from mergegraph.settings import BUDGET_OF_COMPILER, compiler_nbytes

MIB = 2**20
RECIPE = """
merge_method: ties
base_model: demo:base
models: [{model: demo:north}, {model: demo:east}]
parameters: {weight: 1, density: 0.5}
"""


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_larger_budget_leaves_no_less_to_the_plan(one, other):
    small, large = sorted((one, other))
    assert small - compiler_nbytes(small) <= large - compiler_nbytes(large)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Plan a merge that counts as large, as if there were a compiler."""
    monkeypatch.setattr(settings, "_LARGE", 0)
    monkeypatch.setattr(settings, "has_compiler", lambda: True)
    (tmp_path / "ties.yaml").write_text(RECIPE)
    return lambda memory: pipeline.plan(tmp_path / "ties.yaml", out=tmp_path / "o", memory=memory)


def test_half_and_twice_are_told_of_the_budget_that_was_given(planned):
    made = planned("512MiB")
    text = explaining.plan_text(made.plan, made.schedule, made.notes)
    assert "at half the budget, 256.0 MiB: " in text
    assert "at twice the budget, 1.0 GiB: " in text


def test_the_peak_counts_what_the_compiler_takes(planned, monkeypatch):
    with_compiler = planned(BUDGET_OF_COMPILER).schedule.peak_nbytes
    monkeypatch.setattr(settings, "has_compiler", lambda: False)
    without = planned(BUDGET_OF_COMPILER).schedule.peak_nbytes
    assert with_compiler == without + 128 * MIB


def test_compiling_never_makes_a_larger_budget_read_more(planned):
    budgets = [each * MIB for each in (16, 64, 250, 300, 383, 384, 400, 512, 1024)]
    reads = [planned(budget).schedule.read_nbytes for budget in budgets]
    assert reads == sorted(reads, reverse=True)


def test_the_budget_that_an_error_names_is_enough_for_the_compiler_too(planned):
    with pytest.raises(MergeGraphError) as error:
        planned("1MiB")
    named = str(error.value).rpartition("--memory ")[2]
    planned(named)
