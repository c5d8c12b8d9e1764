"""Rows of tensors put elsewhere: read so where they are in files, else made of rows or gathered."""

from __future__ import annotations

from mergegraph.files.header import Entry, Spliced
from mergegraph.ops.arithmetic import load, narrowed
from mergegraph.ops.gathering import gather, only_rows
from mergegraph.rowmap import ABSENT, RowMap
from mergegraph.spec import Spec
from mergegraph.tasks import Task

_NARROWEST = 64  # entries of rows that are worth reading one by one


def rows_of(spec: Spec) -> int:
    """For how many tokens a tensor of a vocabulary has rows: a single row has them in it."""
    is_one_row = len(spec.shape) == 2 and spec.shape[0] == 1  # noqa: PLR2004
    return spec.shape[1] if is_one_row else spec.shape[0]


def width_of(task: Task) -> int:
    """How many entries of a tensor belong to one token."""
    return task.spec.numel // max(1, rows_of(task.spec))


def is_plain_load(task: Task) -> bool:
    """Whether rows can be read from a file, one by one if need be."""
    is_whole = _is_load(task) and task.numbers["rows"] is None
    return is_whole and isinstance(task.numbers["entry"], Entry)


def _is_load(task: Task) -> bool:
    """Whether a task reads rows of files, each of them worth a read of its own."""
    if task.op is not load or width_of(task) < _NARROWEST:
        return False
    is_in_order = task.numbers["rows"] is None or isinstance(task.numbers["rows"], RowMap)
    return is_in_order and isinstance(task.numbers["entry"], Entry | Spliced)


def mapped_rows(task: Task, rows: RowMap) -> Task:
    """The rows of a tensor that a map names, zeros where it names none.

    What is made row by row of tensors in files is made of their rows: no tensor is held as a whole.
    """
    if rows.is_plain and rows.count == rows.of:
        return task
    found = _of_rows(narrowed(task), rows)
    is_made = bool(found.inputs) and found.op is not gather
    has_absent = any(run.first == ABSENT for run in rows.runs)
    if is_made and has_absent:
        return only_rows(found, rows=rows, width=width_of(task))
    return found


def _of_rows(task: Task, rows: RowMap) -> Task:
    if _is_load(task):
        entry, before = task.numbers["entry"], task.numbers["rows"]
        rows = before.then(rows) if isinstance(before, RowMap) else rows
        return load(entry=entry, rows=rows.count if rows.is_plain else rows)
    if not _is_made_by_row(task):
        return gather(task, rows=rows)
    given = [each if each.is_small else _of_rows(each, rows) for each in task.inputs]
    return task.op(*given, **task.numbers)


def _is_made_by_row(task: Task) -> bool:
    """Whether a row of a task needs only that row of its inputs, wherever it stands."""
    by_row = task.op.cut in ("pointwise", "rowwise") and not (task.op.resizes or task.op.positioned)
    return by_row and bool(task.inputs) and not any(each.is_scan for each in task.inputs)
