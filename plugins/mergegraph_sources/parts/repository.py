"""What a reference to the Hub names: a commit, its files, and where the cache has them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mergegraph import MergeGraphError
from mergegraph_sources.parts.faults import told
from mergegraph_sources.parts.wire import patiently

COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
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


def resolve(wanted: Wanted, endpoint: str, cache: Path, *, pause: float = 1.0) -> Repository:
    """Ask the Hub for the commit of a revision and its files; offline, look into its cache."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return _in_cache(wanted, endpoint, cache)
    from huggingface_hub import HfApi

    with told(str(wanted), wanted.repository, endpoint, wanted.revision):
        api = HfApi(endpoint=endpoint)
        found = patiently(
            lambda: api.model_info(
                wanted.repository, revision=wanted.revision, files_metadata=True, timeout=30
            ),
            pause=pause,
        )
    if found.sha is None or not COMMIT.fullmatch(found.sha):
        raise MergeGraphError(f"{wanted}: {endpoint} names no commit; is it a Hub?")
    files = {}
    for each in found.siblings or ():
        digest = each.lfs.sha256 if each.lfs else each.blob_id
        if each.size is None or digest is None or not _is_plain(each.rfilename):
            raise MergeGraphError(f"{wanted}: {endpoint} does not say what {each.rfilename} is")
        files[each.rfilename] = Stored(each.size, digest)
    home = _home(found.id or wanted.repository, cache)
    return Repository(
        found.id or wanted.repository, wanted.revision, found.sha, endpoint, files, home
    )


def _is_plain(name: str) -> bool:
    """Whether a file's name stays inside its folder."""
    path = PurePosixPath(name)
    return (
        name.isprintable()
        and "\\" not in name
        and not path.is_absolute()
        and (".." not in path.parts)
    )


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
