"""NaN and infinity in the inputs of a merge: refused, replaced or let pass, and never silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mergegraph.findings import Check, Findings
from mergegraph.ops.arithmetic import cast, fill_nonfinite, narrowed
from mergegraph.ops.folds import count_nonfinite
from mergegraph.stages.inputs import WORK, Input

_ANYWAY = "set on_nonfinite to base or propagate to merge all the same"


def finite(inputs: Sequence[Input], policy: str, findings: Findings) -> list[Input]:
    """Inputs in the dtype of the arithmetic; NaN and infinity as `on_nonfinite` says."""
    work = [replace(each, task=cast(each.task, WORK)) for each in inputs]
    if policy == "propagate":
        _watch(work, findings, "")
    elif policy == "raise":
        for each in work:
            findings.check(_fatal(each, f"{_fact(each)}; {_ANYWAY}"))
    elif len(work) == 1:
        remedy = "set on_nonfinite to propagate"
        fact = f"{_fact(work[0])}, and no base or other model could stand in; {remedy}"
        findings.check(_fatal(work[0], fact))
    else:
        return _filled(work, findings)
    return work


def _filled(inputs: Sequence[Input], findings: Findings) -> list[Input]:
    """Inputs whose NaN and infinite entries are the base's, or else the mean of the others.

    What is no number in the base is the mean of the models, for them, too.
    """
    base = next((each for each in inputs if each.is_base), None)
    models = [each for each in inputs if each is not base]
    _watch(models, findings, f", replaced by {'the base' if base else 'the mean of the others'}")
    if base is None:
        filled = [_with(each, [o for o in inputs if o is not each]) for each in inputs]
    else:
        _watch([base], findings, ", replaced by the mean of the models")
        leader = _with(base, models)
        filled = [leader if each is base else _with(each, [leader]) for each in inputs]
    first = filled[0]  # one of them tells of all: entries are filled where any model has a number
    told = f"{first.part.name}: has entries that no model has a number for"
    findings.check(_fatal(first, f"{told}; set on_nonfinite to propagate"))
    return filled


def _with(given: Input, others: Sequence[Input]) -> Input:
    return replace(given, task=fill_nonfinite(given.task, *[each.task for each in others]))


def _watch(inputs: Sequence[Input], findings: Findings, fate: str) -> None:
    """Have NaN and infinite entries told of."""
    for each in inputs:
        fact = f"{each.part.model.reference}: NaN or infinite entries{fate}"
        count = count_nonfinite(narrowed(each.task))
        findings.check(Check(count, fact, is_fatal=False, tensor=each.part.name))


def _fatal(given: Input, fact: str) -> Check:
    return Check(count_nonfinite(narrowed(given.task)), fact, is_fatal=True)


def _fact(given: Input) -> str:
    """What is wrong with an input that is not finite: of a stage it is a result."""
    named = f"{given.part.model.reference}: {given.part.name}"
    if not given.part.model.is_input:
        return f"{named} came to be NaN or infinite"
    is_wide = given.stored == "float64"
    return f"{named} has {'NaN, infinite or too large' if is_wide else 'NaN or infinite'} entries"
