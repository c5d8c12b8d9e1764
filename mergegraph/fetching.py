"""Fetching: bringing the files that a run reads from where they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mergegraph.plans import Plan
from mergegraph.reading import Stream
from mergegraph.schedule import Schedule
from mergegraph.trees import OnBytes, Tree


@dataclass(frozen=True)
class Wanted:
    """The files of one tree that a run reads: weights, and those that are copied."""

    tree: Tree
    weights: tuple[str, ...]
    sides: tuple[str, ...]


def needed(plan: Plan, schedule: Schedule) -> tuple[Wanted, ...]:
    """What is read of trees that are not on disk."""
    loads = (task for part in schedule.passes for task in part.loads)
    parts = (part for task in loads for part in task.numbers["entry"].parts)
    read = {getattr(part, "path", None) for part in parts}
    found = []
    for account in plan.accounts:
        tree, headers = account.checkpoint.tree, account.checkpoint.headers
        if tree.is_local:
            continue
        copied = {
            n for each in plan.directories if each.sides.tree == tree for n in each.sides.names
        }
        weights = tuple(name for name in headers if tree.root / name in read)
        found.append(Wanted(tree, weights, tuple(sorted(copied))))
    return tuple(each for each in found if each.weights or each.sides)


def fetch(wanted: Iterable[Wanted], on_bytes: OnBytes, *, is_streamed: bool = False) -> None:
    """Bring files to disk; of those that are streamed only the small ones beside the weights."""
    for each in wanted:
        names = each.sides if is_streamed else (*each.weights, *each.sides)
        each.tree.fetch(names, on_bytes)


def streams(wanted: Iterable[Wanted]) -> Mapping[Path, Stream]:
    """How weights are read where they are, by the path that they would have on disk."""
    return {
        each.tree.root / name: partial(each.tree.read, name)
        for each in wanted
        for name in each.weights
    }
