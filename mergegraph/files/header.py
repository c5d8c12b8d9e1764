"""Headers of safetensors files, read without trust."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.stamps import Stamp
from mergegraph.files.trees import LocalTree, Tree, place_in, stamp_in
from mergegraph.names import is_name
from mergegraph.spec import DTYPE_OF_CODE, Spec

MAX_HEADER = 100_000_000  # what the safetensors library accepts, too
_PREFIX = 8
_FIELDS = {"dtype", "shape", "data_offsets"}
_NOT_READ = {"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}
_MOST_ENTRIES = 2**56  # of one tensor; beyond it the library's count of bits overflows
_MOST_AXES = 64  # of torch's tensors
_LONGEST_NUMBER = 20  # digits of 2 ** 64


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a tensor's bytes are; `identity` stands for their content in task keys.

    Where only a part of it is meant, `whole` is the identity of all of it.
    Where the file has the tensor's axes in another order, `axes` are they, and the spec follows it.
    `stamp` is what the file was when its header was read, if it is on disk.
    """

    path: Path
    offset: int
    spec: Spec
    identity: str
    axes: tuple[int, ...] = ()
    whole: str = ""
    stamp: Stamp | None = field(default=None, compare=False, repr=False)

    @property
    def parts(self) -> tuple[Entry, ...]:
        """Itself: what else is read of files may be made of several."""
        return (self,)


@dataclass(frozen=True)
class Spliced:
    """Tensors of one dtype and one width of row, the rows of each after those of the one before."""

    parts: tuple[Entry, ...]
    spec: Spec

    @property
    def identity(self) -> str:
        """What stands for their content."""
        return "+".join(each.identity for each in self.parts)

    def pieces(self, start: int, count: int) -> Iterator[tuple[Entry, int, int]]:
        """So many entries from start on: the tensors that have them, from where, and how many."""
        for part in self.parts:
            numel = part.spec.numel
            if start < numel and count:
                taken = min(count, numel - start)
                yield part, start, taken
                start, count = start + taken, count - taken
            start -= numel


@dataclass(frozen=True)
class Header:
    """The tensors of one file, the file's identity, and what it says beside its tensors."""

    entries: Mapping[str, Entry]
    digest: str
    nbytes: int
    words: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_header(path: Path) -> Header:
    """Read and check a file's header; raises MergeGraphError saying what is wrong with it."""
    return header_of(LocalTree(path.parent, str(path)), path.name)


def header_of(tree: Tree, name: str) -> Header:
    """Read and check the header of a tree's file; raises MergeGraphError if it is not sound."""
    path, place = tree.root / name, place_in(tree, name)
    size = tree.nbytes(name)
    prefix = tree.read(name, 0, _PREFIX)
    text = tree.read(name, _PREFIX, _PREFIX + _length(place, prefix, size))
    digest = sha256(prefix + text).hexdigest()
    start = _PREFIX + len(text)
    tensors, words = _parse(place, text)
    told = f"{tree.identity(name)}:{digest}"
    identity = sha256(told.encode()).hexdigest()[:32]  # short: every task key is made of one
    stamp = stamp_in(tree, name)
    specs: dict[Spec, Spec] = {}  # equal ones are one object: tensors are many, shapes few
    entries = {}
    for each, found in tensors.items():
        spec = _spec_of(place, each, found)
        spec = specs.setdefault(spec, spec)
        offset = _offset(place, each, found, spec, start, size)
        entries[each] = Entry(path, offset, spec, f"{identity}:{each}", stamp=stamp)
    _check_gaps(place, entries, start, size)
    return Header(entries, digest, size, words)


def _length(place: str, prefix: bytes, size: int) -> int:
    if prefix == b"version ":
        raise MergeGraphError(f"{place}: a Git LFS pointer, not the file; fetch it: git lfs pull")
    length = int.from_bytes(prefix, "little")
    if len(prefix) < _PREFIX or length > min(MAX_HEADER, size - _PREFIX):
        raise _bad(place, f"a header of {length} bytes does not fit in {size} bytes")
    return length


def _parse(place: str, text: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """What a header says of tensors, and the words beside."""
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_int=_count)
    except RecursionError as error:
        raise _bad(place, "the header is not sound JSON (nested too deeply)") from error
    except ValueError as error:
        raise _bad(place, f"the header is not sound JSON ({error})") from error
    if not isinstance(found, dict):
        raise _bad(place, "the header is not a JSON object")
    words = found.pop("__metadata__", None)
    _check_words(place, words)
    return found, words or {}


def _check_words(place: str, words: Any) -> None:
    if words is None:
        return
    if not isinstance(words, dict) or not all(map(_is_text, (*words, *words.values()))):
        raise _bad(place, "its __metadata__ does not map words to words")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"'{name}' appears twice")
        found[name] = value
    return found


def _count(digits: str) -> int | float:
    """A whole number in JSON; one of very many digits is a float, which no check lets pass."""
    return int(digits) if len(digits) <= _LONGEST_NUMBER else float(digits)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _spec_of(place: str, name: str, found: Any) -> Spec:
    if not is_name(name):
        fact = "it is empty, very long or cannot be printed"
        raise _bad(place, f"{name!r} is not a tensor name: {fact}")
    if not isinstance(found, dict) or found.keys() != _FIELDS:
        raise _bad(place, f"{name}: its entry is not an object of dtype, shape and data_offsets")
    return _spec(place, name, found["dtype"], found["shape"])


def _offset(place: str, name: str, found: Any, spec: Spec, start: int, size: int) -> int:
    """Where a tensor's bytes begin."""
    offsets: Any = found["data_offsets"]
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:  # noqa: PLR2004
        raise _bad(place, f"{name}: {_shown(offsets)} is not a range of bytes")
    first, last = start + int(offsets[0]), start + int(offsets[1])
    if last - first != spec.nbytes:
        raise _bad(place, f"{name}: {spec} takes {spec.nbytes} bytes, its range has {last - first}")
    if last > size:
        raise _bad(place, f"{name}: its bytes end at {last}, the file at {size}; is it complete?")
    return first


def _spec(place: str, name: str, code: Any, shape: Any) -> Spec:
    if not isinstance(code, str) or code not in DTYPE_OF_CODE:
        if isinstance(code, str) and code in _NOT_READ:
            raise MergeGraphError(f"{place}: {name}: tensors of dtype {code} cannot be merged")
        raise _bad(place, f"{name}: {_shown(code)} is not a dtype")
    if not _are_counts(shape):
        raise _bad(place, f"{name}: shape {_shown(shape)} is not a list of sizes")
    if len(shape) > _MOST_AXES or prod(each or 1 for each in shape) > _MOST_ENTRIES:
        raise _bad(place, f"{name}: shape {_shown(shape)} is larger than any tensor")
    return Spec(tuple(shape), DTYPE_OF_CODE[code])


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else f"{text[:50]}..."  # noqa: PLR2004


def _check_gaps(place: str, entries: Mapping[str, Entry], start: int, size: int) -> None:
    """Every byte after the header belongs to one tensor, as the format demands."""
    end = start
    last = ""
    for name, entry in sorted(
        entries.items(), key=lambda item: (item[1].offset, item[1].spec.nbytes)
    ):
        if entry.offset < end:
            raise _bad(place, f"the bytes of {name} overlap those of {last}")
        if entry.offset > end:
            raise _bad(place, f"the bytes before those of {name} belong to nothing")
        end += entry.spec.nbytes
        last = name
    if end != size:
        raise _bad(place, f"{size - end} bytes after the last tensor belong to nothing")


def _bad(place: str, fact: str) -> MergeGraphError:
    return MergeGraphError(f"{place}: not a sound safetensors file: {fact}")
