"""Digesting: every tensor of some files read once, in threads, a few megabytes at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import local
from typing import Any

from mergegraph.errors import RunError
from mergegraph.files.header import Entry
from mergegraph.ops.folds import count_nonfinite
from mergegraph.spec import Spec

_BLOCK = 2**22  # bytes each thread has in hand

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Digest:
    """What a tensor's bytes come to: their SHA-256, and how many entries are NaN or infinite."""

    sha256: str
    nonfinite: int


def digest_file(path: Path) -> str:
    """The SHA-256 of a file; raises RunError if it cannot be read."""
    digest = sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(_BLOCK):
                digest.update(data)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def digest_range(path: Path, start: int, nbytes: int) -> Any:
    """The SHA-256, to be gone on with, of a part of a file, or of less if the file ends before.

    Raises RunError if it cannot be read.
    """
    digest = sha256()
    try:
        with path.open("rb") as file:
            file.seek(start)
            while nbytes and (data := file.read(min(nbytes, _BLOCK))):
                digest.update(data)
                nbytes -= len(data)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    return digest


def digest_tensors(
    entries: Mapping[str, Entry], threads: int, on_bytes: OnBytes | None = None
) -> dict[str, Digest]:
    """The digests of tensors by name; raises RunError where one cannot be read.

    `on_bytes` is told from worker threads what was read.
    """
    ordered = sorted(entries, key=lambda name: (str(entries[name].path), entries[name].offset))
    worker = _Worker(on_bytes)
    pool = ThreadPoolExecutor(threads)
    try:
        found = dict(zip(ordered, pool.map(worker, (entries[n] for n in ordered)), strict=True))
    finally:
        pool.shutdown(cancel_futures=True)
    return {name: found[name] for name in entries}


class _Worker:
    """Digests one tensor after another; every thread has a block of memory of its own."""

    def __init__(self, on_bytes: OnBytes | None) -> None:
        self._on_bytes = on_bytes
        self._of_thread = local()

    def __call__(self, entry: Entry) -> Digest:
        digest = sha256()
        nonfinite = 0
        left = entry.spec.nbytes
        try:
            with entry.path.open("rb", buffering=0) as file:
                file.seek(entry.offset)
                while left:
                    data = self._filled(file, min(left, _BLOCK), entry)
                    digest.update(data)
                    nonfinite += _nonfinite(data, entry.spec)
                    left -= len(data)
                    if self._on_bytes is not None:
                        self._on_bytes(len(data))
        except OSError as error:
            raise RunError(f"{entry.path}: cannot be read: {error.strerror}") from error
        return Digest(digest.hexdigest(), nonfinite)

    def _filled(self, file: Any, nbytes: int, entry: Entry) -> memoryview:
        """The next bytes of a file, all of them, as entries may not be cut."""
        if not hasattr(self._of_thread, "block"):
            self._of_thread.block = memoryview(bytearray(_BLOCK))
        data: memoryview = self._of_thread.block[:nbytes]
        done = 0
        while done < nbytes:
            count = file.readinto(data[done:])
            if not count:
                fact = "ends before its tensors do; did it change meanwhile?"
                raise RunError(f"{entry.path}: {fact}")
            done += count
        return data


def _nonfinite(data: memoryview, spec: Spec) -> int:
    import torch

    if not spec.is_float:
        return 0
    values = torch.frombuffer(data, dtype=getattr(torch, spec.dtype))
    return int(count_nonfinite.kernel(values))
