"""Weights that torch.save wrote (.bin, .pt, .pth, .ckpt): known without executing anything.

Torch's weights-only unpickler makes the tensors without memory behind them, and the list of the
archive says where in the file the bytes of each are.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.archives import Archive, Record, open_archive
from mergegraph.files.header import MAX_HEADER, Entry, Header
from mergegraph.files.nesting import state_in
from mergegraph.files.trees import Tree, stamp_in
from mergegraph.spec import DTYPES, Spec

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_POINTER = b"version "
_SAVE = "load it with torch and save its state dict as safetensors"
_TRUST = "where you trust it, load it with torch and save its state dict as safetensors"
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_MOST_AXES = 64
_LONGEST = 100  # letters of what torch says that are told


def header_of_pickle(tree: Tree, name: str) -> Header:
    """The tensors of a file by its header; raises MergeGraphError saying why it cannot be read."""
    path, nbytes = tree.root / name, tree.nbytes(name)
    _check_kind(path, tree.read(name, 0, min(len(_POINTER), nbytes)))
    archive = open_archive(tree, name)
    text = _pickle_of(archive)
    found = state_in(str(path), _unpickled(archive, text))
    digest = sha256(repr(sorted(archive.ends.items())).encode() + text).hexdigest()
    identity = sha256(f"{tree.identity(name)}:{digest}".encode()).hexdigest()[:32]
    places, stamp = _Places(archive, {}), stamp_in(tree, name)
    entries = {}
    for key, tensor in found.tensors.items():
        at = places.of(key, tensor)
        own = f"{identity}:{at.offset}:{at.spec}:{at.axes}"  # names that share their bytes are one
        entries[key] = Entry(path, at.offset, at.spec, own, at.axes, stamp=stamp)
    return Header(entries, digest, nbytes, notes=found.notes)


def _check_kind(label: Path, start: bytes) -> None:
    if start.startswith(_ZIP):
        return
    if start == _POINTER:
        raise MergeGraphError(f"{label}: a Git LFS pointer, not the file; fetch it: git lfs pull")
    if start.startswith(_PICKLE):
        fact = "a plain pickle, as torch wrote before 1.6, which is not read"
        raise MergeGraphError(f"{label}: {fact}; {_SAVE}")
    raise MergeGraphError(f"{label}: not a file of torch.save; is the download complete?")


def _pickle_of(archive: Archive) -> bytes:
    """The pickle of an archive, which says what its tensors are."""
    if "constants.pkl" in archive:
        fact = "a TorchScript archive, a program and not a state dict"
        raise MergeGraphError(f"{archive.label}: {fact}; {_TRUST}")
    if "data.pkl" not in archive:
        raise MergeGraphError(f"{archive.label}: a zip archive, but not one of torch.save")
    if "byteorder" in archive and archive.text("byteorder", 16) != b"little":
        fact = "its numbers are stored the other way round (big endian)"
        raise MergeGraphError(f"{archive.label}: {fact}; {_SAVE}")
    return archive.text("data.pkl", MAX_HEADER)


def _unpickled(archive: Archive, text: bytes) -> Any:
    """What the pickle holds, by torch's unpickler that executes nothing; tensors are empty."""
    from torch._weights_only_unpickler import Unpickler

    unpickler: Any = Unpickler(io.BytesIO(text), encoding="utf-8")
    unpickler.persistent_load = _stored
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return unpickler.load()
    except Exception as error:  # a pickle made to harm can bring about any of them
        told = f"holds more than tensors and plain values ({_cause(error)})"
        fact = f"{told}, and no code in files is executed"
        raise MergeGraphError(f"{archive.label}: {fact}; {_TRUST}") from error


def _cause(error: Exception) -> str:
    """What a pickle asks for, or else the beginning of what torch says of it."""
    asked = _GLOBAL.search(str(error))
    first = re.split(r"\. |\n", str(error))[0][:_LONGEST]
    return f"it needs {asked[1]}" if asked else f"{type(error).__name__}: {first}"


def _stored(place: tuple[Any, ...]) -> Any:
    """A storage of a file as one without memory, which knows the record that it is."""
    import torch

    _, kind, record, _, numel = place
    dtype = torch.uint8 if kind is torch.UntypedStorage else kind.dtype
    storages: Any = torch.storage  # says nothing of types
    storage = storages.UntypedStorage(numel * dtype.itemsize, device="meta")
    storage.record = f"data/{record}"
    return storages.TypedStorage(wrap_storage=storage, dtype=dtype, _internal=True)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a tensor's bytes are; `axes` are its axes as the file orders them, if otherwise."""

    offset: int
    spec: Spec
    axes: tuple[int, ...]


@dataclass(frozen=True)
class _Places:
    """Finds the bytes of tensors in an archive."""

    archive: Archive
    known: dict[str, Record]

    def of(self, name: str, tensor: Any) -> _Place:
        """Where a tensor's bytes are; raises MergeGraphError if they are no whole piece."""
        self.check(name, tensor)
        record = getattr(tensor.untyped_storage(), "record", None)
        if record is None or record not in self.archive:
            raise self.wrong(name, "its entries are not stored in the file")
        shape, strides = tuple(tensor.shape), tensor.stride()
        axes = axes_in_file(shape, strides)
        if axes is None:
            raise self.wrong(name, "is a part of a larger tensor, with gaps", "call contiguous()")
        if record not in self.known:
            self.known[record] = self.archive.record(record)
        spec = Spec(tuple(shape[axis] for axis in axes) or shape, Spec.of(tensor).dtype)
        start = tensor.storage_offset() * spec.itemsize
        if start + spec.nbytes > self.known[record].nbytes:
            raise self.wrong(name, f"{spec} takes more bytes than its record has")
        return _Place(self.known[record].offset + start, spec, axes)

    def check(self, name: str, tensor: Any) -> None:
        """Raise MergeGraphError for what is no plain tensor."""
        import torch

        if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or tensor.layout != torch.strided:
            raise self.wrong(name, "is no plain tensor", "make it dense")
        if Spec.of(tensor).dtype not in DTYPES:
            raise self.wrong(name, f"tensors of dtype {Spec.of(tensor).dtype} cannot be merged")
        if tensor.is_conj() or tensor.is_neg():
            raise self.wrong(name, "is a view of another tensor", "call resolve_conj()")
        if tensor.dim() > _MOST_AXES:
            raise self.wrong(name, f"has {tensor.dim()} axes")

    def wrong(self, name: str, fact: str, remedy: str = "") -> MergeGraphError:
        """An error that names a tensor."""
        do = f"; {remedy} and save it again" if remedy else ""
        return MergeGraphError(f"{self.archive.label}: {name}: {fact}{do}")


def axes_in_file(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...] | None:
    """The axes of a tensor in the order of the file: none if it is its own; None if it has gaps."""
    if 0 in shape:
        return ()
    long = [axis for axis, size in enumerate(shape) if size > 1]
    order = sorted(long, key=lambda axis: -strides[axis])
    step = 1
    for axis in reversed(order):
        if strides[axis] != step:
            return None
        step *= shape[axis]
    if order == long:
        return ()
    return (*order, *(axis for axis, size in enumerate(shape) if size == 1))
