"""Models on the Hugging Face Hub: `org/name@revision`, also written `hf:org/name`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from mergegraph import MergeGraphError, Source, hookimpl
from mergegraph_sources.parts.blocks import Blocks
from mergegraph_sources.parts.downloads import download
from mergegraph_sources.parts.faults import told
from mergegraph_sources.parts.naming import whole
from mergegraph_sources.parts.parallel import OnBytes
from mergegraph_sources.parts.repository import Repository, Wanted, resolve
from mergegraph_sources.parts.wire import Wire

SCHEME = "hf"
_SMALL = 2**25  # bytes of a file that is kept if all of it was read
_OF_SEVERAL = re.compile(r"(.*-)\d+(-of-\d+\.safetensors)")


class HubTree:
    """The files of a model at one commit: read by ranges, or brought into the Hub's cache."""

    is_local = False

    def __init__(self, wanted: Wanted, repository: Repository, wire: Wire) -> None:
        self._wanted = wanted
        self._repository = repository
        self._wire = wire
        self._blocks = Blocks(self._read_far, self.nbytes)
        self._inside = _inside(wanted, repository)
        self._begun: set[str] = set()
        self._looked_at: set[str] = set()  # small files that a plan was made of

    @property
    def label(self) -> str:
        """The model at its commit, as a reference that names the same for ever."""
        pinned = f"{self._repository.name}@{self._repository.commit}"
        return f"{SCHEME}:{pinned}/{self._wanted.path}" if self._wanted.path else pinned

    @property
    def root(self) -> Path:
        """Where the files are in the Hub's cache, or will be."""
        return self._repository.snapshot / self._inside

    @property
    def single(self) -> str | None:
        """The file that a reference names, if it names one."""
        path = self._wanted.path
        return path.removeprefix(self._inside) if path in self._repository.files else None

    def names(self) -> tuple[str, ...]:
        """Every file, by its path in the model."""
        files = self._repository.files
        return tuple(n.removeprefix(self._inside) for n in files if n.startswith(self._inside))

    def nbytes(self, name: str) -> int:
        """The size of a file."""
        return self._repository.files[self._inside + name].nbytes

    def identity(self, name: str) -> str:
        """What stands for the content of a file, wherever it is read."""
        return self._repository.files[self._inside + name].identity

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes of a file from start to stop, from the cache if it is there."""
        stop = whole(self.label, name, self.nbytes(name)) if stop is None else stop
        if self._repository.is_cached(self._inside + name):
            with (self.root / name).open("rb") as file:
                file.seek(start)
                return file.read(stop - start)
        if start == 0:
            self._begin(name)
            if stop == self.nbytes(name) <= _SMALL:
                self._looked_at.add(name)
        return self._blocks.read(name, start, stop)

    def fetch(self, names: Iterable[str], on_bytes: OnBytes) -> None:
        """Bring whole files into the Hub's cache, and those that a plan offline would look at."""
        asked = [self._inside + each for each in names]
        beside = [self._inside + each for each in sorted(self._looked_at)]
        with self._telling():
            download(self._repository, asked, self._wire, on_bytes)
            download(self._repository, beside, self._wire, lambda _nbytes: on_bytes(0))

    def _begin(self, name: str) -> None:
        """With the header of one shard, read those of the others."""
        match = _OF_SEVERAL.fullmatch(name)
        if match is None or name in self._begun:
            return
        shards = [n for n in self.names() if n.startswith(match[1]) and n.endswith(match[2])]
        self._begun.update(shards)
        self._blocks.begin(
            each for each in shards if not self._repository.is_cached(self._inside + each)
        )

    def _read_far(self, name: str, start: int, stop: int) -> bytes:
        with self._telling():
            return self._wire.read(self._repository.url(self._inside + name), start, stop)

    def _telling(self) -> AbstractContextManager[None]:
        return told(str(self._wanted), self._repository.name, self._repository.endpoint)


def _inside(wanted: Wanted, repository: Repository) -> str:
    """The folder of a repository that a reference names, with a slash at its end."""
    if not wanted.path:
        return ""
    folder = wanted.path if wanted.path not in repository.files else wanted.path.rpartition("/")[0]
    inside = f"{folder}/" if folder else ""
    if not any(name.startswith(inside) for name in repository.files):
        raise MergeGraphError(f"{wanted}: has no folder or file '{wanted.path}'")
    return inside


def open_model(
    reference: str,
    *,
    endpoint: str | None = None,
    cache: Path | None = None,
    pause: float = 1.0,
    seconds: float = 30.0,
) -> HubTree:
    """The files of a model on the Hub; raises MergeGraphError if there is none.

    `pause` is how many seconds are waited before a request that failed is made again, `seconds`
    how long for a server that sends next to nothing.
    """
    from huggingface_hub import constants

    wanted = Wanted.parse(reference)
    where = (endpoint or constants.ENDPOINT).rstrip("/")
    wire = Wire(pause=pause, seconds=seconds)
    found = resolve(wanted, where, cache or Path(constants.HF_HUB_CACHE), wire, pause=pause)
    return HubTree(wanted, found, wire)


@hookimpl
def model_sources() -> list[Source]:
    """The Hub, which a bare `org/name` names, too."""
    return [Source(SCHEME, open_model)]
