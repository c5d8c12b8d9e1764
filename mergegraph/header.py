"""Headers of safetensors files, read without trust."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.spec import DTYPE_OF_CODE, Spec

MAX_HEADER = 100_000_000  # what the safetensors library accepts, too
_PREFIX = 8


@dataclass(frozen=True)
class Entry:
    """Where a tensor's bytes are; `identity` stands for their content in task keys."""

    path: Path
    offset: int
    spec: Spec
    identity: str


@dataclass(frozen=True)
class Header:
    """The tensors of one file, and the file's identity."""

    entries: Mapping[str, Entry]
    digest: str
    nbytes: int
    mtime_ns: int


def read_header(path: Path) -> Header:
    """Read and check a file's header; raises MergeGraphError saying what is wrong with it."""
    try:
        with path.open("rb") as file:
            stat = path.stat()
            size = stat.st_size
            prefix = file.read(_PREFIX)
            length = int.from_bytes(prefix, "little")
            if len(prefix) < _PREFIX or length > min(MAX_HEADER, size - _PREFIX):
                raise _bad(path, f"a header of {length} bytes does not fit in {size} bytes")
            text = file.read(length)
    except OSError as error:
        raise MergeGraphError(f"{path}: cannot be read: {error.strerror}") from error
    digest = sha256(prefix + text).hexdigest()
    start = _PREFIX + length
    tensors = _parse(path, text)
    identity = f"{path.resolve()}:{size}:{stat.st_mtime_ns}:{digest}"
    entries = {name: _entry(path, name, tensors[name], start, size, identity) for name in tensors}
    _check_gaps(path, entries, start, size)
    return Header(entries, digest, size, stat.st_mtime_ns)


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"the header is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise _bad(path, "the header is not a JSON object")
    found.pop("__metadata__", None)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"'{name}' appears twice")
        found[name] = value
    return found


def _entry(path: Path, name: str, found: Any, start: int, size: int, identity: str) -> Entry:
    if not name or any(ord(letter) < 32 for letter in name):  # noqa: PLR2004
        raise _bad(path, f"{name!r} is not a tensor name")
    if not isinstance(found, dict):
        raise _bad(path, f"{name}: its entry is not a JSON object")
    code: Any = found.get("dtype")
    shape: Any = found.get("shape")
    offsets: Any = found.get("data_offsets")
    if code not in DTYPE_OF_CODE:
        raise _bad(path, f"{name}: dtype {code!r} is not one that mergegraph knows")
    if not _are_counts(shape):
        raise _bad(path, f"{name}: shape {shape!r} is not a list of sizes")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:  # noqa: PLR2004
        raise _bad(path, f"{name}: {offsets!r} is not a range of bytes")
    spec = Spec(tuple(shape), DTYPE_OF_CODE[code])
    first, last = (start + offset for offset in offsets)
    if last - first != spec.nbytes:
        raise _bad(path, f"{name}: {spec} takes {spec.nbytes} bytes, its range has {last - first}")
    if last > size:
        raise _bad(path, f"{name}: its bytes end at {last}, the file at {size}; is it complete?")
    return Entry(path, first, spec, f"{identity}:{name}")


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)


def _check_gaps(path: Path, entries: Mapping[str, Entry], start: int, size: int) -> None:
    """Every byte after the header belongs to one tensor, as the format demands."""
    end = start
    for name, entry in sorted(
        entries.items(), key=lambda item: (item[1].offset, item[1].spec.nbytes)
    ):
        if entry.offset != end:
            kind = "overlap" if entry.offset < end else "have a gap before them"
            raise _bad(path, f"the bytes of {name} {kind}")
        end += entry.spec.nbytes
    if end != size:
        raise _bad(path, f"{size - end} bytes after the last tensor belong to nothing")


def _bad(path: Path, fact: str) -> MergeGraphError:
    return MergeGraphError(f"{path}: not a sound safetensors file: {fact}")
