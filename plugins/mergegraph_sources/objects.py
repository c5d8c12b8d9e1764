"""Models in object stores and on the web: `s3://`, `gs://`, `az://`, `https://` and `http://`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from mergegraph import MergeGraphError, Source, hookimpl
from mergegraph_sources.parts.blocks import Blocks
from mergegraph_sources.parts.naming import is_plain, whole
from mergegraph_sources.parts.parallel import OnBytes, bring_all
from mergegraph_sources.parts.stores import Object, open_store, ranges, telling
from mergegraph_sources.parts.website import listed, on_website, probed

_SCHEMES = ("s3", "gs", "az", "https", "http")
_WEB = ("https", "http")
_FILES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf")


@dataclass(frozen=True)
class Address:
    """Where a model is: the address of its folder, and its file if it is only one."""

    folder: str
    file: str | None

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read an address; raises MergeGraphError if it holds what should be kept secret."""
        scheme, _, rest = url.partition("://")
        place = rest.partition("/")[0]
        if not place:
            raise MergeGraphError(f"{scheme}://: names no place; write {scheme}://place/folder")
        if "@" in place or "?" in rest or "#" in rest:
            raise MergeGraphError(
                f"{scheme}://{place.rpartition('@')[2]}: addresses are written into results, so "
                "they may hold no password and no query; give credentials by the environment"
            )
        folder, _, last = url.rstrip("/").rpartition("/")
        if last.endswith(_FILES):
            return cls(folder, last)
        return cls(url.rstrip("/"), None)

    def __str__(self) -> str:
        return f"{self.folder}/{self.file}" if self.file else self.folder


class ObjectTree:
    """The files of a model in an object store, at the versions found when it was opened."""

    is_local = False

    def __init__(self, address: Address, store: Any, objects: Mapping[str, Object]) -> None:
        self.label = str(address)
        self.single = address.file
        self._store = store
        self._objects = objects
        self._blocks = Blocks(self._read_far, self.nbytes)
        self.root = _cache() / "objects" / _digest(address.folder, *map(str, objects.values()))

    def names(self) -> tuple[str, ...]:
        """Every file, by its path in the model."""
        return tuple(self._objects)

    def nbytes(self, name: str) -> int:
        """The size of a file."""
        return self._objects[name].nbytes

    def identity(self, name: str) -> str:
        """What stands for the content of a file: it changes when the store has another version."""
        return _digest(self.label, str(self._objects[name]))

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes of a file from start to stop."""
        stop = whole(self.label, name, self.nbytes(name)) if stop is None else stop
        if self._is_here(name):
            with (self.root / name).open("rb") as file:
                file.seek(start)
                return file.read(stop - start)
        return self._blocks.read(name, start, stop)

    def fetch(self, names: Iterable[str], on_bytes: OnBytes) -> None:
        """Bring whole files into the cache, each resumed where it stopped."""
        bring_all([each for each in names if not self._is_here(each)], self._bring, on_bytes)

    def _is_here(self, name: str) -> bool:
        path = self.root / name
        return path.is_file() and path.stat().st_size == self.nbytes(name)

    def _read_far(self, name: str, start: int, stop: int) -> bytes:
        with self._telling(name):
            return b"".join(ranges(self._store, self._objects[name], start, stop))

    def _bring(self, name: str, on_bytes: OnBytes) -> None:
        from huggingface_hub.utils import WeakFileLock

        path = self.root / name
        part = path.with_name(f"{path.name}.incomplete")
        path.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(path.with_name(f"{path.name}.lock")), self._telling(name):
            if self._is_here(name):
                on_bytes(self.nbytes(name))
                return
            with part.open("ab") as file:
                on_bytes(file.tell())
                for piece in ranges(
                    self._store, self._objects[name], file.tell(), self.nbytes(name)
                ):
                    file.write(piece)
                    on_bytes(len(piece))
            part.replace(path)

    def _telling(self, name: str) -> AbstractContextManager[None]:
        return telling(f"{self.label}: {name}")


def _cache() -> Path:
    chosen = os.environ.get("MERGEGRAPH_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mergegraph"


def _digest(*texts: str) -> str:
    return sha256("\n".join(texts).encode()).hexdigest()[:32]


def open_model(scheme: str, rest: str) -> ObjectTree:
    """The files of a model in an object store; raises MergeGraphError if there are none."""
    address = Address.parse(f"{scheme}:{rest}")
    store = open_store(address.folder)
    with telling(str(address)):
        if address.file is not None:
            found = probed(store, [address.file])
        elif scheme in _WEB:
            found = on_website(store)
        else:
            found = listed(store, str(address))
    if odd := next((name for name in found if not is_plain(name)), None):
        raise MergeGraphError(f"{address}: holds {odd!r}, which cannot be a file of a model")
    if not found:
        raise MergeGraphError(f"{address}: no such file, or no model in this folder")
    return ObjectTree(address, store, found)


@hookimpl
def model_sources() -> list[Source]:
    """Object stores and the web, each by its scheme."""
    return [Source(scheme, partial(open_model, scheme)) for scheme in _SCHEMES]
