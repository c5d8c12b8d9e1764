"""The two examinations of a search: the one that chooses, and the one that reports."""

from __future__ import annotations

from dataclasses import replace

from mergegraph.errors import MergeGraphError
from mergegraph.plugins import Plugins
from mergegraph.search.examining import REPORTS, Examination, check_apart, read_examination


def examinations_of(
    chooses: str, reports: str | None, plugins: Plugins, *, same_data: bool
) -> tuple[Examination, Examination]:
    """What chooses and what reports; raises MergeGraphError if one data is to do both unasked."""
    first = read_examination(chooses, plugins)
    splits = first.evaluator.splits
    if reports is not None:
        second = read_examination(reports, plugins, split=REPORTS)
    elif same_data:
        second = first
    elif splits is not None and splits[REPORTS] != first.data:
        second = replace(first, data=splits[REPORTS])
    else:
        fact = f"--evaluator {chooses}: no other data is named to report with"
        raise MergeGraphError(f"{fact}; give --report-evaluator, or --same-data")
    check_apart(first, second, same_data=same_data)
    return first, second
