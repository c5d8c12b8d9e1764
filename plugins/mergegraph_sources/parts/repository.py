"""What a reference to the Hub names: a commit, its files, and where the cache has them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mergegraph import MergeGraphError
from mergegraph_sources.parts.faults import told
from mergegraph_sources.parts.naming import is_plain
from mergegraph_sources.parts.wire import Wire, patiently

COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ID = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)?")
_LONGEST_ID = 200
_LARGEST_LIST = 2**27  # bytes; a hundred thousand files take a third of it
_PINNED = re.compile(r"(?P<commit>[0-9a-f]{40})/(?P<path>.+)")
_MAIN = "main"
_PARTS_OF_ID = 2


@dataclass(frozen=True)
class Wanted:
    """A reference to the Hub: `org/name`, then perhaps a folder or file, then `@revision`."""

    repository: str
    path: str
    revision: str

    @classmethod
    def parse(cls, reference: str) -> Wanted:
        """Read `org/name/folder@revision` or `org/name@commit/folder`, as `//org/name`, too."""
        name, _, revision = reference.removeprefix("//").partition("@")
        if pinned := _PINNED.fullmatch(revision):
            name, revision = f"{name}/{pinned['path']}", pinned["commit"]
        parts = [each for each in name.split("/") if each]
        if not parts or any(each in (".", "..") for each in parts):
            raise MergeGraphError(f"hf:{reference}: names no model; write hf:org/name@revision")
        if revision and not is_plain(revision):
            raise MergeGraphError(f"hf:{reference}: {revision!r} is no branch, tag or commit")
        repository = "/".join(parts[:_PARTS_OF_ID])
        return cls(repository, "/".join(parts[_PARTS_OF_ID:]), revision or _MAIN)

    def __str__(self) -> str:
        path = f"/{self.path}" if self.path else ""
        revision = f"@{self.revision}" if self.revision != _MAIN else ""
        return f"{self.repository}{path}{revision}"


@dataclass(frozen=True)
class Stored:
    """A file of a repository: its size, and the digest that its blob is called by."""

    nbytes: int
    digest: str

    @property
    def identity(self) -> str:
        """What stands for the content."""
        return f"sha256:{self.digest}" if _SHA256.fullmatch(self.digest) else f"git:{self.digest}"

    @property
    def is_hashed(self) -> bool:
        """Whether the digest is the SHA-256 of the bytes."""
        return _SHA256.fullmatch(self.digest) is not None

    @property
    def algorithm(self) -> str:
        """What the digest is made with."""
        return "SHA-256" if self.is_hashed else "SHA-1"

    @property
    def begun(self) -> Any:
        """What takes in the bytes, and comes to the digest in the end."""
        if self.is_hashed:
            return sha256()
        return sha1(b"blob %d\0" % self.nbytes, usedforsecurity=False)  # as git calls files


@dataclass(frozen=True)
class Repository:
    """A model on the Hub at one commit."""

    name: str
    revision: str
    commit: str
    endpoint: str
    files: Mapping[str, Stored]
    home: Path = field(repr=False)  # its folder in the Hub's cache

    @property
    def snapshot(self) -> Path:
        """Where the cache has the files of the commit."""
        return self.home / "snapshots" / self.commit

    def url(self, file: str) -> str:
        """Where a file is to be had."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.name, file, revision=self.commit, endpoint=self.endpoint)

    def is_cached(self, file: str) -> bool:
        """Whether the cache has a file, whole."""
        try:
            return (self.snapshot / file).stat().st_size == self.files[file].nbytes
        except OSError:
            return False


def resolve(
    wanted: Wanted, endpoint: str, cache: Path, wire: Wire, *, pause: float = 1.0
) -> Repository:
    """Ask the Hub for the commit of a revision and its files; offline, look into its cache."""
    from huggingface_hub import constants
    from huggingface_hub.utils import validate_repo_id

    if constants.HF_HUB_OFFLINE:
        return _in_cache(wanted, endpoint, cache)
    url = f"{endpoint}/api/models/{wanted.repository}/revision/{quote(wanted.revision, safe='')}"
    with told(str(wanted), wanted.repository, endpoint, wanted.revision):
        validate_repo_id(wanted.repository)
        text = patiently(lambda: wire.answer(f"{url}?blobs=true", _LARGEST_LIST), pause=pause)
        found = json.loads(text)
    found = found if isinstance(found, dict) else {}
    commit, name = found.get("sha"), found.get("id") or wanted.repository
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise MergeGraphError(f"{wanted}: {endpoint} names no commit; is it a Hub?")
    if not isinstance(name, str) or not _ID.fullmatch(name) or len(name) > _LONGEST_ID:
        raise MergeGraphError(f"{wanted}: {endpoint} calls it {name!r}; is it a Hub?")
    listed = found.get("siblings") or []
    files = dict(_listed(wanted, endpoint, each) for each in listed if isinstance(listed, list))
    return Repository(name, wanted.revision, commit, endpoint, files, _home(name, cache))


def _listed(wanted: Wanted, endpoint: str, told: Any) -> tuple[str, Stored]:
    """A file as the Hub lists it; raises MergeGraphError if it is not clear what it is."""
    if not isinstance(told, dict):
        told = {}
    name, large = told.get("rfilename"), told.get("lfs")
    nbytes = told.get("size")
    digest = large.get("sha256") if isinstance(large, dict) else told.get("blobId")
    is_digest = isinstance(digest, str) and bool(_DIGEST.fullmatch(digest))
    if not is_plain(name) or type(nbytes) is not int or nbytes < 0 or not is_digest:
        raise MergeGraphError(f"{wanted}: {endpoint} does not say what {name!r} is")
    return name, Stored(nbytes, str(digest))


def _home(name: str, cache: Path) -> Path:
    from huggingface_hub.file_download import repo_folder_name

    return cache / repo_folder_name(repo_id=name, repo_type="model")


def _in_cache(wanted: Wanted, endpoint: str, cache: Path) -> Repository:
    home = _home(wanted.repository, cache)
    commit = _commit_in(home, wanted.revision)
    snapshot = home / "snapshots" / commit
    if not commit or not snapshot.is_dir():
        there = f" (revisions there: {', '.join(_refs(home))})" if _refs(home) else ""
        raise MergeGraphError(
            f"{wanted}: not in the Hub's cache at {cache}{there}, and HF_HUB_OFFLINE is set; "
            "unset it, or name a directory"
        )
    files = {
        path.relative_to(snapshot).as_posix(): _stored(path)
        for path in sorted(snapshot.rglob("*"))
        if path.is_file()
    }
    return Repository(wanted.repository, wanted.revision, commit, endpoint, files, home)


def _commit_in(home: Path, revision: str) -> str:
    if COMMIT.fullmatch(revision):
        return revision
    try:
        return (home / "refs" / revision).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _refs(home: Path) -> list[str]:
    refs = home / "refs"
    return sorted(p.relative_to(refs).as_posix() for p in refs.rglob("*") if p.is_file())


def _stored(path: Path) -> Stored:
    """A file of the cache; its blob is called by its digest, where there are links."""
    status = path.stat()
    blob = Path(os.path.realpath(path)).name
    is_digest = COMMIT.fullmatch(blob) or _SHA256.fullmatch(blob)
    return Stored(status.st_size, blob if is_digest else f"{path}:{status.st_mtime_ns}")


def remember_revision(repository: Repository) -> None:
    """Note in the cache what a branch or tag stood for, so that it is known offline."""
    if COMMIT.fullmatch(repository.revision):
        return
    ref = repository.home / "refs" / repository.revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    if not ref.is_file() or ref.read_text(encoding="utf-8") != repository.commit:
        ref.write_text(repository.commit, encoding="utf-8")
