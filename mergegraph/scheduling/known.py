"""Values known from an earlier run: which of them a schedule can start from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from mergegraph.scheduling.drafts import is_stored
from mergegraph.tasks import Task


def useful(known: Collection[str], roots: Sequence[Task]) -> frozenset[str]:
    """Of values known by their keys those that the roots can be computed from.

    A value of the store is made after a pass over some of what it is made of: where all of that is
    known and the value itself is not, it counts as not known. So do outputs.
    """
    left = frozenset(known) - {root.key for root in roots}
    while stranded := set(_stranded(left, roots)):
        left -= stranded
    return left


def _stranded(known: Collection[str], roots: Sequence[Task]) -> Iterator[str]:
    seen: set[str] = set()
    stack = list(roots)
    while stack:
        task = stack.pop()
        if task.key in seen or task.key in known:
            continue
        seen.add(task.key)
        stack += task.inputs
        if task.inputs and is_stored(task) and all(each.key in known for each in task.inputs):
            yield from (each.key for each in task.inputs)
