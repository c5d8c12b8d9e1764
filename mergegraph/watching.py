"""Checks that need not be made: what they look at is seen in the result of something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mergegraph.findings import Check
from mergegraph.ops.arithmetic import unrounded
from mergegraph.ops.folds import count_beyond, count_nonfinite
from mergegraph.tasks import Task, walk


def essential(roots: Sequence[Task], checks: Sequence[Check]) -> list[Check]:
    """The checks that are to be made for some outputs, those that are not as causes of others.

    NaN and infinity that ops carry on are seen in what they come to. Where they came from is
    looked at only once there is something to be told.
    """
    counts = [e for e in checks if e.is_fatal and e.task.op in (count_nonfinite, count_beyond)]
    watched: dict[str, list[Check]] = {}
    for each in counts:
        if each.task.op is count_nonfinite:
            watched.setdefault(each.watched.key, []).append(each)
    causes: dict[int, list[Check]] = {}
    spared: set[int] = set()
    seen: set[str] = set()
    for end in _ends(roots, counts):
        if id(end) in spared:
            continue
        for key in _carried(end.watched, seen):
            own = [each for each in watched.get(key, ()) if id(each) not in causes]
            spared.update(map(id, own))
            causes.setdefault(id(end), []).extend(own)
    return [
        replace(each, causes=(*causes.get(id(each), ())[::-1], *each.causes))
        for each in checks
        if id(each) not in spared
    ]


def _ends(roots: Sequence[Task], counts: Sequence[Check]) -> Iterator[Check]:
    """Checks of what is computed in any case: of outputs first, then of what these are made of."""
    outputs = {task.key for task in (*roots, *map(unrounded, roots))}
    yield from (each for each in counts if each.watched.key in outputs)
    others = [each for each in reversed(counts) if each.watched.inputs]
    if any(each.watched.key not in outputs for each in others):
        computed = {task.key for task in walk(*roots)} - outputs
        yield from (each for each in others if each.watched.key in computed)


def _carried(end: Task, seen: set[str]) -> Iterator[str]:
    """What a task is made of, by key, as far as it is NaN or infinite where that is."""
    stack = [end]
    while stack:
        task = stack.pop()
        if task.spec.itemsize == 1:
            continue  # bytes may have no infinity: they hold their largest number instead
        for each in reversed(task.inputs[: task.op.carries]):
            if each.key not in seen and not each.is_small and each.spec.is_float:
                seen.add(each.key)
                stack.append(each)
                yield each.key
