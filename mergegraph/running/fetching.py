"""Fetching: bringing the files that a run reads from where they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from mergegraph.errors import MergeGraphError, RunError
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.files.reading import Stream
from mergegraph.files.trees import OnBytes, Tree
from mergegraph.machine import sized
from mergegraph.plans import Directory, Plan
from mergegraph.running.windows import Windows, window_nbytes, windows_in_order, windows_nbytes
from mergegraph.scheduling.schedule import Schedule
from mergegraph.tasks import Task


@dataclass(frozen=True)
class Wanted:
    """The files of one tree that a run reads: to be brought, to be read in place, and here."""

    tree: Tree
    reference: str
    fetched: tuple[str, ...]
    streamed: tuple[str, ...]
    cached: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """The bytes of the files that are brought."""
        return sum(map(self.tree.nbytes, self.fetched))

    @property
    def note(self) -> str:
        """What there is to do, for people."""
        parts = {
            "to fetch": self.fetched,
            "to read in place": self.streamed,
            "on disk already": self.cached,
        }
        told = ", ".join(f"{self._sized(names)} {what}" for what, names in parts.items() if names)
        return f"{self.reference} is {self.tree.label}: {told or 'nothing to read'}"

    def _sized(self, names: Sequence[str]) -> str:
        nbytes = sized(sum(map(self.tree.nbytes, names)))
        return f"{nbytes} in {len(names)} file{'s' if len(names) != 1 else ''}"


def needed(
    plan: Plan, schedule: Schedule, unfinished: Sequence[Directory], *, is_streamed: bool = False
) -> tuple[Wanted, ...]:
    """What is read of trees and not on disk: weights, and the files that are copied."""
    if all(each.checkpoint.tree.is_local for each in plan.accounts):
        return ()
    loads = (task for part in schedule.passes for task in part.loads)
    read = {path for task in loads for path in _paths(task)}
    found = []
    for account in plan.accounts:
        tree, headers = account.checkpoint.tree, account.checkpoint.headers
        if tree.is_local:
            continue
        copied = {n for each in unfinished if each.sides.tree == tree for n in each.sides.names}
        weights = [name for name in headers if tree.root / name in read]
        found.append(_wanted(account.checkpoint, weights, sorted(copied), is_streamed=is_streamed))
    return tuple(found)


def _wanted(
    checkpoint: Checkpoint, weights: Sequence[str], sides: Sequence[str], *, is_streamed: bool
) -> Wanted:
    tree = checkpoint.tree
    missing = _missing(tree, weights)
    return Wanted(
        tree=tree,
        reference=checkpoint.reference,
        fetched=(*(() if is_streamed else missing), *_missing(tree, sides)),
        streamed=missing if is_streamed else (),
        cached=tuple(each for each in (*weights, *sides) if _is_here(tree, each)),
    )


def _missing(tree: Tree, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if not _is_here(tree, name))


def _is_here(tree: Tree, name: str) -> bool:
    try:
        return (tree.root / name).stat().st_size == tree.nbytes(name)
    except OSError:
        return False


def fetch(wanted: Sequence[Wanted], on_bytes: OnBytes | None = None) -> None:
    """Bring files to disk, those of several trees at once; raises RunError if one cannot be had."""
    stopped = Event()

    def counted(nbytes: int) -> None:
        if stopped.is_set():
            raise RunError("fetching was stopped")
        if on_bytes is not None:
            on_bytes(nbytes)

    far = [each for each in wanted if each.fetched]
    with ThreadPoolExecutor(max(1, len(far))) as pool:
        tasks = [pool.submit(_fetch, each, counted) for each in far]
        try:
            done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
            for task in done:
                task.result()
        except BaseException:
            stopped.set()
            raise


def _fetch(wanted: Wanted, on_bytes: OnBytes) -> None:
    tree = wanted.tree
    try:
        tree.fetch(wanted.fetched, on_bytes)
    except MergeGraphError as error:
        raise RunError(str(error)) from error
    if lost := _missing(tree, wanted.fetched):
        raise RunError(f"{tree.label}: {lost[0]} was fetched, and is not at {tree.root}; run again")


@contextmanager
def streamed(wanted: Sequence[Wanted], schedule: Schedule) -> Iterator[Mapping[Path, Stream]]:
    """How files that are not brought are read, by the path that they would have on disk."""
    streams = {
        each.tree.root / name: partial(_read, each.tree, name)
        for each in wanted
        for name in each.streamed
    }
    if not streams:
        yield {}
        return
    loads = [
        [task for task in part.loads if streams.keys() & set(_paths(task))]
        for part in schedule.passes
    ]
    abreast = max(map(len, loads))
    nbytes = windows_nbytes(schedule.budget)
    order = windows_in_order(loads, window_nbytes(nbytes, abreast))
    with Windows(streams, order, nbytes) as windows:
        yield windows.streams


def _paths(load: Task) -> Iterator[Path]:
    """The files that a load reads."""
    return (part.path for part in load.numbers["entry"].parts)


def _read(tree: Tree, name: str, start: int, stop: int) -> bytes:
    try:
        return tree.read(name, start, stop)
    except MergeGraphError as error:
        raise RunError(str(error)) from error
