"""Inputs watched: a result is only right if its inputs stay what they were when it was planned.

A file that is replaced under its name counts as changed, though what was open still has the old
bytes: the result would name an input that is no longer there, and the next run would read another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mergegraph.files.stamps import Stamp, changed, stamp_of
from mergegraph.files.trees import LocalTree
from mergegraph.plans import Plan


class Spoiled(Protocol):
    """A result that is not whole, made of inputs that changed."""

    def spoil(self) -> None:
        """Never take for good what is there of it."""


@dataclass(frozen=True)
class Inputs:
    """The files that a plan was made of and a run reads, each with its stamp."""

    stamps: dict[Path, Stamp]

    @classmethod
    def of(cls, plan: Plan) -> Inputs:
        """Those of a plan: files on disk as they were planned, fetched ones as they are now."""
        stamps: dict[Path, Stamp] = {}
        for account in plan.accounts:
            tree = account.checkpoint.tree
            if isinstance(tree, LocalTree):
                stamps.update((tree.root / name, each) for name, each in tree.stamps.items())
                continue
            fetched = [tree.root / name for name in account.checkpoint.headers]
            stamps.update((path, stamp_of(path)) for path in fetched if path.is_file())
        return cls(stamps)

    def changed(self) -> list[Path]:
        """Those that are not what they were, or not there."""
        return [path for path, stamp in self.stamps.items() if not _is_same(path, stamp)]

    def check(self) -> None:
        """Raise ChangedError if one is not what it was."""
        if found := self.changed():
            raise changed(found[0])

    @contextmanager
    def watched(self, results: Iterable[Spoiled]) -> Iterator[None]:
        """Check them before the block; if they change in it, and it fails, spoil its results."""
        self.check()
        try:
            yield
        except BaseException:
            if self.changed():
                for each in results:
                    each.spoil()
            raise


def _is_same(path: Path, stamp: Stamp) -> bool:
    try:
        return stamp.is_of(stamp_of(path))
    except OSError:
        return False
