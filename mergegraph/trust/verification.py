"""Verification: a model on disk against its manifest, its config, its index, and its inputs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.files.header import Entry, read_header
from mergegraph.files.jsonfiles import read_json
from mergegraph.files.parts import parts_of
from mergegraph.files.trees import LocalTree
from mergegraph.machine import usable_cores
from mergegraph.names import part_of
from mergegraph.plugins import installed_plugins
from mergegraph.provenance.digesting import Digest, OnBytes, digest_file, digest_tensors
from mergegraph.provenance.frontmatter import CARD
from mergegraph.provenance.manifest import MANIFEST, Manifest, read_manifest
from mergegraph.trust.conformity import against_config, against_index, heads_apart
from mergegraph.trust.recall import recalled, working_in
from mergegraph.writing.journal import JOURNAL

_WEIGHTS = "*.safetensors"
_LETS_PASS = re.compile(r"on_nonfinite:\s*['\"]?propagate")  # in a recipe


@dataclass(frozen=True)
class Verdict:
    """What was found: how much was checked, what is not as it should be, what is worth a word."""

    tensors: int = 0
    nbytes: int = 0
    has_manifest: bool = True
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def verify(
    path: str | PathLike[str],
    *,
    inputs: bool = False,
    threads: int | None = None,
    on_bytes: OnBytes | None = None,
) -> Verdict:
    """Check a model on disk: every byte that its manifest tells of, and whether it fits its config.

    With `inputs` also what it was made of: that it is unchanged, and where it is a result itself,
    checked likewise. Raises MergeGraphError if there is nothing to check.
    """
    verifier = _Verifier(threads or usable_cores(), on_bytes, follows=inputs)
    verifier.check(Path(path), "")
    return verifier.verdict()


def weights_nbytes(path: Path) -> int:
    """How many bytes there are to read."""
    files = (file for part in _parts(path) for file in (path / part).glob(_WEIGHTS))
    return sum(file.stat().st_size for file in files if file.is_file())


def _parts(folder: Path) -> tuple[str, ...]:
    """The folders that a model's weights are in; the root where it does not say so."""
    if not folder.is_dir():
        return ("",)
    try:
        return parts_of(LocalTree(folder, str(folder)))
    except MergeGraphError:
        return ("",)


def _inside(entries: Mapping[str, Entry], part: str, parts: Collection[str]) -> dict[str, Entry]:
    """The tensors of one part, by their names in its files."""
    own = {name: part_of(name) if part_of(name) in parts else "" for name in entries}
    return {name.removeprefix(part): entries[name] for name in entries if own[name] == part}


@dataclass
class _Verifier:
    """Gathers what is found in a directory, and in those it was made of."""

    threads: int
    on_bytes: OnBytes | None
    follows: bool
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)
    tensors: int = 0
    nbytes: int = 0
    has_manifest: bool = True

    def verdict(self) -> Verdict:
        return Verdict(
            self.tensors,
            self.nbytes,
            self.has_manifest,
            tuple(self.differences),
            tuple(self.notes),
        )

    def check(self, folder: Path, name: str) -> None:
        """Check a directory; what is found there is told below its name."""
        if not folder.is_dir():
            raise MergeGraphError(f"{folder}: no such directory")
        self.seen.add(folder.resolve())
        manifest = read_manifest(folder)
        entries = self.opened(folder, manifest, name)
        if not entries and manifest is None:
            raise MergeGraphError(f"{folder}: holds neither {MANIFEST} nor {_WEIGHTS} to check")
        digests = digest_tensors(entries, self.threads, self.on_bytes)
        self.tensors += len(entries)
        self.nbytes += sum(entry.spec.nbytes for entry in entries.values())
        self.tell(name, _against_itself(folder, entries, digests))
        self.tell_nonfinite(name, manifest, digests)
        if manifest is None:
            self.has_manifest = False
            self.notes.append(f"{name}no {MANIFEST}, so there are no hashes to compare with")
            return
        self.tell(name, _against_manifest(folder, manifest, entries, digests))
        self.notes += [f"{name}{note}" for note in _edited(folder, manifest)]
        if self.follows:
            self.follow(folder, manifest, name)

    def opened(self, folder: Path, manifest: Manifest | None, name: str) -> dict[str, Entry]:
        """The tensors of all files by their headers, whatever an index says."""
        entries: dict[str, Entry] = {}
        named = (folder / file for file in (manifest.files if manifest else ()))
        there = (file for part in _parts(folder) for file in (folder / part).glob(_WEIGHTS))
        for file in sorted({*there, *(each for each in named if each.is_file())}):
            part = file.relative_to(folder).as_posix().removesuffix(file.name)
            try:
                found = {part + n: each for n, each in read_header(file).entries.items()}
            except MergeGraphError as error:
                self.differences.append(f"{name}{error}")
                continue
            twice = entries.keys() & found.keys()
            self.tell(name, (f"{file.name}: {each} is in another file, too" for each in twice))
            entries |= found
        return entries

    def tell(self, name: str, differences: Iterator[str]) -> None:
        self.differences += [f"{name}{each}" for each in differences]

    def tell_nonfinite(
        self, name: str, manifest: Manifest | None, digests: Mapping[str, Digest]
    ) -> None:
        """NaN and infinity are wrong, unless the recipe lets them pass."""
        made = manifest.made if manifest else None
        passes = made is not None and any(map(_LETS_PASS.search, (made.text, *made.settings)))
        told = self.notes if passes else self.differences
        told += [
            f"{name}{tensor}: {each.nonfinite} entries are NaN or infinite"
            for tensor, each in digests.items()
            if each.nonfinite
        ]

    def follow(self, folder: Path, manifest: Manifest, name: str) -> None:
        """Compare the inputs with what the manifest says, and check those that are results."""
        start, found = recalled(manifest, folder, installed_plugins())
        with working_in(start):
            for each in found:
                label = f"{name}input {each.ancestor.model}: "
                self.tell(label, iter(each.differences))
                if each.root is not None and _is_result(each.root) and each.root not in self.seen:
                    self.check(each.root, label)


def _is_result(root: Path) -> bool:
    return (root / MANIFEST).is_file()


def _against_itself(
    folder: Path, entries: Mapping[str, Entry], digests: Mapping[str, Digest]
) -> Iterator[str]:
    """Whether config, index and tensors of a model fit each other."""
    parts = _parts(folder)
    for part in parts:
        inside = _inside(entries, part, parts)
        hashes = {name: digests[part + name].sha256 for name in inside}
        yield from (f"{part}{each}" for each in _part_against_itself(folder / part, inside, hashes))


def _part_against_itself(
    folder: Path, entries: Mapping[str, Entry], hashes: Mapping[str, str]
) -> Iterator[str]:
    try:
        config = read_json(folder / "config.json")
    except MergeGraphError as error:
        yield str(error)
        config = {}
    yield from against_config(config, entries)
    yield from heads_apart(config, entries, hashes)
    yield from against_index(folder, entries)


def _against_manifest(
    folder: Path,
    manifest: Manifest,
    entries: Mapping[str, Entry],
    digests: Mapping[str, Digest],
) -> Iterator[str]:
    """Every tensor and every file against what the manifest says of them."""
    for name in entries:
        if name not in manifest.tensors:
            yield f"{name}: not in the manifest"
    for name, told in manifest.tensors.items():
        entry = entries.get(name)
        if entry is None:
            yield f"{name}: missing"
        elif (entry.spec.shape, entry.spec.dtype) != (told.shape, told.dtype):
            yield f"{name}: is {entry.spec}, the manifest says {told.dtype}{list(told.shape)}"
        elif digests[name].sha256 != told.sha256:
            yield f"{name}: its bytes differ"
    for file, nbytes in manifest.files.items():
        if (folder / file).is_file() and (folder / file).stat().st_size != nbytes:
            yield f"{file}: has {(folder / file).stat().st_size} bytes, not {nbytes}"
        elif not (folder / file).is_file():
            yield f"{file}: missing"
    yield from _weights(folder, manifest)
    yield from _sides(folder, manifest)


def _weights(folder: Path, manifest: Manifest) -> Iterator[str]:
    """The digest of all tensors, by which others know the result."""
    if read_json(folder / MANIFEST).get("weights", manifest.weights) != manifest.weights:
        yield f"{MANIFEST}: its weights is not the digest of its tensors"


def _sides(folder: Path, manifest: Manifest) -> Iterator[str]:
    """The files beside the weights: changed, missing, or such that nobody named."""
    if manifest.sides is None:
        return
    for file, digest in manifest.sides.items():
        if not (folder / file).is_file():
            yield f"{file}: missing"
        elif file != CARD and digest_file(folder / file) != digest:
            yield f"{file}: its bytes differ"
    known = {MANIFEST, JOURNAL, *manifest.files, *manifest.sides}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and not is_hidden and name.as_posix() not in known:
            yield f"{name.as_posix()}: not in the manifest"


def _edited(folder: Path, manifest: Manifest) -> Iterator[str]:
    """A card is meant to be written on: that is worth a word, and no more."""
    told = (manifest.sides or {}).get(CARD)
    if told and (folder / CARD).is_file() and digest_file(folder / CARD) != told:
        yield f"{CARD}: edited since the run"
