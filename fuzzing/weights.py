"""Files of weights, and what says which files they are."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from fuzzing.mutations import zipped
from mergegraph.errors import MergeGraphError
from mergegraph.files.header import Header, header_of
from mergegraph.files.pickles import header_of_pickle
from mergegraph.files.trees import LocalTree
from mergegraph.library import Library

FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_TORCH = "model.bin"
_SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")

# what the library takes and we refuse: names that cannot be shown or come twice, entries that say
# more than the format has, dtypes that cannot be merged, and tensors that torch could not hold
_DELIBERATE = (
    "is not a tensor name",
    "cannot be merged",
    "larger than any tensor",
    "appears twice",
    "is not an object of dtype, shape and data_offsets",
    "Git LFS pointer",
)


def safetensors_of(tensors: dict[str, Any], data: bytes, **words: str) -> bytes:
    """A file with a header of some entries."""
    found = {"__metadata__": words, **tensors} if words else tensors
    text = json.dumps(found, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors_samples() -> Iterator[bytes]:
    """Sound files of safetensors."""
    two = {
        "model.layers.0.w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
        "n": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]},
    }
    yield safetensors_of(two, bytes(16), format="pt")
    yield safetensors_of({"w": {"dtype": "I64", "shape": [0, 4], "data_offsets": [0, 0]}}, b"")
    yield safetensors_of({}, b"")


def read_safetensors(folder: Path, data: bytes) -> None:
    """Read a header as the library does, which is asked, too."""
    (folder / FILE).write_bytes(data)
    accepted = _library_reads(data)
    try:
        found = header_of(LocalTree(folder, str(folder)), FILE)
    except MergeGraphError as error:
        if accepted is not None and not any(each in str(error) for each in _DELIBERATE):
            raise AssertionError(f"the library reads it: {error}") from error
        raise
    if accepted is None:
        raise AssertionError("the library refuses it")
    if accepted != _told(found, data):
        raise AssertionError("the library reads other tensors")


def _library_reads(data: bytes) -> dict[str, tuple[list[int], bytes]] | None:
    """What the library reads, by name; None if it refuses the file."""
    import safetensors

    read: Any = safetensors.deserialize  # says nothing of types
    try:
        return {name: (each["shape"], bytes(each["data"])) for name, each in read(data)}
    except safetensors.SafetensorError:
        return None


def _told(header: Header, data: bytes) -> dict[str, tuple[list[int], bytes]]:
    return {
        name: (list(each.spec.shape), data[each.offset : each.offset + each.spec.nbytes])
        for name, each in header.entries.items()
    }


# -- torch -----------------------------------------------------------------------------------


def torch_samples() -> Iterator[bytes]:
    """Sound files of torch.save."""
    import torch

    base = torch.arange(24.0).reshape(4, 6)
    states: tuple[Any, ...] = (
        {"a.weight": base, "tied": base, "turned": base.t(), "rows": base[1:3]},
        {"state_dict": {"w": torch.ones(3, dtype=torch.bfloat16)}, "epoch": 3, "name": "x"},
        {"p": torch.nn.Parameter(torch.zeros(2)), "n": torch.tensor(5)},
    )
    for state in states:
        file = io.BytesIO()
        torch.save(state, file)
        yield file.getvalue()


def read_torch(folder: Path, data: bytes) -> None:
    """Read the header of a file of torch; what is read, torch reads alike."""
    (folder / _TORCH).write_bytes(data)
    found = header_of_pickle(LocalTree(folder, str(folder)), _TORCH)
    import torch

    try:
        loaded = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except UnpicklingError as error:
        raise AssertionError(f"torch refuses it: {error}") from error
    except Exception:  # noqa: BLE001 - for what it says in records that say nothing of tensors
        return
    states = list(_states(loaded))
    told = {name: sorted(each.spec.shape) for name, each in found.entries.items()}
    if not any(told.items() <= state.items() for state in states):
        raise AssertionError("torch reads other tensors")


def _states(value: Any) -> Iterator[dict[str, list[int]]]:
    """The sizes of tensors in every mapping."""
    import torch

    if isinstance(value, dict):
        yield {k: sorted(v.shape) for k, v in value.items() if isinstance(v, torch.Tensor)}
        for each in value.values():
            yield from _states(each)


def pickle_samples() -> Iterator[bytes]:
    """The pickles of sound files, and some that ask for code."""
    import pickle
    import zipfile

    for data in torch_samples():
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield next(archive.read(n) for n in archive.namelist() if n.endswith("data.pkl"))
    yield b"cos\nsystem\n(S'touch harmed'\ntR."
    yield b"\x80\x02cbuiltins\neval\nq\x00X\x01\x00\x00\x001\x85R."
    yield pickle.dumps({"w": [1, 2, (3, None)]}, protocol=2)


def read_pickle(folder: Path, data: bytes) -> None:
    """Read a pickle inside of an archive that is otherwise sound."""
    records = [
        ("m/data.pkl", data),
        ("m/byteorder", b"little"),
        *((f"m/data/{number}", bytes(96)) for number in range(3)),
        ("m/version", b"3\n"),
    ]
    (folder / _TORCH).write_bytes(zipped(records))
    header_of_pickle(LocalTree(folder, str(folder)), _TORCH)


# -- which files -----------------------------------------------------------------------------


def lay_shards(folder: Path) -> None:
    """Two files of one tensor each."""
    for name, file in zip("ab", _SHARDS, strict=True):
        entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        (folder / file).write_bytes(safetensors_of({name: entry}, bytes(4)))


def index_samples() -> Iterator[bytes]:
    """A sound index."""
    found = {"metadata": {"total_size": 8}, "weight_map": dict(zip("ab", _SHARDS, strict=True))}
    yield json.dumps(found).encode()


def read_index(folder: Path, data: bytes) -> None:
    """Open a model by its index."""
    (folder / INDEX).write_bytes(data)
    Library({}).checkpoint(str(folder))


def lay_parts(folder: Path) -> None:
    """Two folders of weights."""
    for name in ("unet", "vae"):
        (folder / name).mkdir(exist_ok=True)
        entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        (folder / name / FILE).write_bytes(safetensors_of({"w": entry}, bytes(4)))


def part_samples() -> Iterable[bytes]:
    """What diffusers and sentence-transformers say of folders."""
    pipeline = {"_class_name": "P", "unet": ["diffusers", "U"], "vae": ["diffusers", "V"]}
    modules = [{"idx": 0, "name": "0", "path": "unet", "type": "T"}, {"path": "vae"}]
    return [json.dumps(pipeline).encode(), json.dumps(modules).encode()]


def read_parts(folder: Path, data: bytes) -> None:
    """Open a model in several folders; a list is what sentence-transformers writes."""
    is_list = data.lstrip().startswith(b"[")
    told, other = ("modules.json", "model_index.json")[:: 1 if is_list else -1]
    (folder / other).unlink(missing_ok=True)
    (folder / told).write_bytes(data)
    Library({}).checkpoint(str(folder))
