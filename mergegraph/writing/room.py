"""Room on disk: for results, and for the files that are fetched for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.machine import disk_of, sized
from mergegraph.running.fetching import Wanted
from mergegraph.writing.found import Found, partial_path
from mergegraph.writing.shards import Shard
from mergegraph.writing.writer import unwritten


@dataclass(frozen=True)
class _Need:
    """Bytes that are to be written below a path."""

    path: Path
    nbytes: int
    is_fetched: bool = False


def check_room(
    layouts: Mapping[Path, tuple[Shard, ...]],
    found: Mapping[Path, Found],
    wanted: Iterable[Wanted],
) -> None:
    """Raise MergeGraphError if what is to be written cannot be put there, or is more than fits."""
    unfinished = {path: shards for path, shards in layouts.items() if not found[path].is_done}
    for path in unfinished:
        _check_not_mounted(path)
    needs = [_Need(path, _left(path, shards)) for path, shards in unfinished.items()]
    needs += [_Need(each.tree.root, each.nbytes, is_fetched=True) for each in wanted]
    free: dict[int, int] = {}
    on_disk: dict[int, list[_Need]] = {}
    for need in needs:
        disk = disk_of(partial_path(need.path) if not need.is_fetched else need.path)
        free[disk.number] = disk.free
        on_disk.setdefault(disk.number, []).append(need)
    for number, together in on_disk.items():
        _check(free[number], together)


def _left(path: Path, shards: Iterable[Shard]) -> int:
    """What a result will take more than what is there of it."""
    total = sum(each.nbytes for each in shards)
    partial = partial_path(path)
    there = sum(each.stat().st_size for each in partial.rglob("*") if each.is_file())
    return max(0, total - max(0, there - unwritten(partial)))


def _check(free: int, needs: Iterable[_Need]) -> None:
    results = {each.path: each.nbytes for each in needs if not each.is_fetched}
    fetched = {each.path: each.nbytes for each in needs if each.is_fetched}
    taken, brought = sum(results.values()), sum(fetched.values())
    if taken + brought <= free:
        return
    there = f"{sized(free)} are free"
    if not brought:
        told = f"{min(results)}: the results take {sized(taken)}, {there}"
        raise MergeGraphError(f"{told}; make room, or choose another --out")
    also = f", the results {sized(taken)}" if taken else ""
    raise MergeGraphError(
        f"{min(fetched)}: the files to fetch take {sized(brought)}{also}, {there}; make "
        "room, or read the weights in place with --stream"
    )


def _check_not_mounted(path: Path) -> None:
    """A result is renamed when it is whole, and nothing can be renamed to what is mounted."""
    for each in (path, partial_path(path)):
        if each.is_mount() and not each.is_symlink():
            fact = "a file system is mounted there, and a result needs a name of its own"
            raise MergeGraphError(f"{each}: {fact}; choose a folder in it as --out")
