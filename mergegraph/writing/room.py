"""Room on disk: for results, and for the files that are fetched for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.machine import free_space
from mergegraph.running.fetching import Wanted
from mergegraph.writing.result import Found, partial_path
from mergegraph.writing.shards import Shard


def check_room(
    layouts: Mapping[Path, tuple[Shard, ...]],
    found: Mapping[Path, Found],
    wanted: Iterable[Wanted],
) -> None:
    """Raise MergeGraphError if what is to be written is more than what is free."""
    results: dict[int, dict[Path, int]] = {}
    fetched: dict[int, dict[Path, int]] = {}
    for path, shards in layouts.items():
        if not found[path].is_done and not partial_path(path).exists():
            results.setdefault(free_space(path), {})[path] = sum(each.nbytes for each in shards)
    for each in wanted:
        root = each.tree.root
        fetched.setdefault(free_space(root), {})[root] = each.nbytes
    for free in {*results, *fetched}:
        _check(free, results.get(free, {}), fetched.get(free, {}))


def _check(free: int, results: Mapping[Path, int], fetched: Mapping[Path, int]) -> None:
    taken, brought = sum(results.values()), sum(fetched.values())
    if taken + brought <= free:
        return
    there = f"{free / 1e9:.1f} GB are free"
    if not brought:
        raise MergeGraphError(f"{min(results)}: the results take {taken / 1e9:.1f} GB, {there}")
    also = f", the results {taken / 1e9:.1f} GB" if taken else ""
    raise MergeGraphError(
        f"{min(fetched)}: the files to fetch take {brought / 1e9:.1f} GB{also}, {there}; make "
        "room, or read the weights in place with --stream"
    )
