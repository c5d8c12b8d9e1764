"""Trees: the files of a model, wherever they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Protocol

from mergegraph.errors import MergeGraphError
from mergegraph.files.stamps import Stamp, check

LARGEST_DOCUMENT = 128 * 2**20  # bytes; the largest tokenizers have a quarter of it
OnBytes = Callable[[int], None]  # told the bytes just fetched
TREE = ("label", "root", "single", "is_local", "names", "nbytes", "read", "identity", "fetch")


class Tree(Protocol):
    """The files of a model: a directory on disk, a repository, a bucket.

    `label` names it in messages, with the commit it is at if it has any; `root` is where its files
    are, or will be once they are fetched; `single` is the only file that is meant, if a reference
    names a file. All methods raise MergeGraphError, with a remedy, if a file cannot be had.
    """

    @property
    def label(self) -> str:
        """What it is called in messages and manifests."""

    @property
    def root(self) -> Path:
        """Where its files are on disk, or will be."""

    @property
    def single(self) -> str | None:
        """The only file that is meant; None for all of them."""

    @property
    def is_local(self) -> bool:
        """Whether its files are on disk without being fetched."""

    def names(self) -> tuple[str, ...]:
        """Every file, by its path below the root, with forward slashes."""

    def nbytes(self, name: str) -> int:
        """The size of a file."""

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes of a file from start to stop, without fetching the whole of it."""

    def identity(self, name: str) -> str:
        """Words that change whenever the bytes of a file do."""

    def fetch(self, names: Iterable[str], on_bytes: OnBytes) -> None:
        """Bring whole files to where `root` says they will be; those that are there stay."""


def place_in(tree: Tree, name: str) -> str:
    """What a file is called in messages: its path, or its name in a tree that is far away."""
    return str(tree.root / name) if tree.is_local else f"{tree.label}/{name}"


def stamp_in(tree: Tree | None, name: str) -> Stamp | None:
    """What a file was when it was looked at; None of one that is elsewhere."""
    return tree.stamps.get(name) if isinstance(tree, LocalTree) else None


def read_document(tree: Tree, name: str, *, most: int = LARGEST_DOCUMENT) -> bytes:
    """The whole of a file that is no weights; raises MergeGraphError if it is larger than those."""
    if tree.nbytes(name) > most:
        fact = f"too large to be read, over {most // 2**20} MiB"
        raise MergeGraphError(f"{place_in(tree, name)}: {fact}")
    return tree.read(name)


@dataclass(frozen=True)
class Source:
    """Where models come from: a plugin opens what follows `scheme:` in a reference."""

    scheme: str
    open: Callable[[str], Tree]


@dataclass(frozen=True)
class LocalTree:
    """A directory on disk, or one file in it.

    `stamps` are of the files that were looked at: all that is made of them counts on these.
    """

    root: Path
    label: str
    single: str | None = None
    is_local: bool = True
    stamps: dict[str, Stamp] = field(default_factory=dict, compare=False, repr=False)

    def names(self) -> tuple[str, ...]:
        """What is right in the directory; what lies deeper is looked for by who wants it."""
        with self._reporting(""):
            return tuple(sorted(each.name for each in self.root.iterdir()))

    def nbytes(self, name: str) -> int:
        """The size of a file; raises MergeGraphError if it is a directory, or a pipe."""
        with self._reporting(name):
            stat = (self.root / name).stat()
            self._note(name, stat)
        if not S_ISREG(stat.st_mode):
            raise MergeGraphError(f"{self.root / name}: cannot be read: not a file")
        return stat.st_size

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes of a file from start to stop; a pipe is not waited for."""
        self.nbytes(name)
        with self._reporting(name), (self.root / name).open("rb") as file:
            self._note(name, os.fstat(file.fileno()))
            file.seek(start)
            return file.read() if stop is None else file.read(stop - start)

    def identity(self, name: str) -> str:
        """Where a file is, its size, and when it was changed."""
        path = self.root / name
        with self._reporting(name):
            stat = path.stat()
            self._note(name, stat)
            return f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"

    def fetch(self, names: Iterable[str], on_bytes: OnBytes) -> None:
        """Nothing is left to do."""

    def _note(self, name: str, found: os.stat_result) -> None:
        """Remember a file as it is; raises ChangedError if it is another than before."""
        stamp = Stamp.of(found)
        check(self.root / name, self.stamps.setdefault(name, stamp), stamp)

    def _reporting(self, name: str) -> _Reporting:
        return _Reporting(self.root / name)


@dataclass(frozen=True)
class _Reporting:
    """Says of a file that cannot be read which it is."""

    path: Path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise MergeGraphError(f"{self.path}: cannot be read: {error.strerror}") from error
