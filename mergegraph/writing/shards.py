"""Shards: output files laid out before the run, every tensor at a fixed place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mergegraph.names import part_of
from mergegraph.plans import Output
from mergegraph.spec import DTYPES, Spec

_LENGTH = 8  # bytes that say how long the header is
_SHARD = re.compile(
    r"(?:.+/)?(?:model|adapter_model|diffusion_pytorch_model)"
    r"(?:(?:-\d{5}-of-\d{5})?\.safetensors|\.safetensors\.index\.json)"
)
_ALIGN = 4096  # where the tensors start: whole blocks can be written past the page cache


@dataclass(frozen=True)
class Slot:
    """The place of a tensor: bytes `[offset, offset + nbytes)` of a file."""

    file: str
    offset: int
    spec: Spec


@dataclass(frozen=True)
class Shard:
    """One output file: its header, its size, and its tensors.

    The names of tensors begin with the folder, if there is one, but in the file they do not.
    """

    file: str
    header: bytes
    nbytes: int
    slots: dict[str, Slot]
    folder: str = ""
    index: str = ""


def is_shard(name: str) -> bool:
    """Whether a file is called as output files are, or their index."""
    return _SHARD.fullmatch(name) is not None


def lay_out(
    outputs: Sequence[Output],
    shard_nbytes: int,
    stems: Mapping[str, str] | None = None,
    words: Mapping[str, str] | None = None,
) -> tuple[Shard, ...]:
    """Divide the tensors of one directory among files of at most `shard_nbytes` each.

    Every part of a model has files of its own, called after its stem. A tensor larger than a file
    may be has one of its own. Tensors keep their order. `words` go into the header of every file.
    """
    known = {"": "model", **(stems or {})}
    folders: dict[str, list[Output]] = {}
    for each in outputs:
        folder = part_of(each.name)
        folders.setdefault(folder if folder in known else "", []).append(each)
    return tuple(
        shard
        for folder, inside in folders.items()
        for shard in _of_part(_Files(folder, known[folder], words or {}), inside, shard_nbytes)
    )


@dataclass(frozen=True)
class _Files:
    """What the files of one part of a model have in common."""

    folder: str
    stem: str
    words: Mapping[str, str]

    def file(self, number: int, count: int) -> str:
        """The name of one of them."""
        of_many = f"-{number + 1:05d}-of-{count:05d}" if count > 1 else ""
        return f"{self.folder}{self.stem}{of_many}.safetensors"

    @property
    def index(self) -> str:
        """The name of their index."""
        return f"{self.folder}{self.stem}.safetensors.index.json"


def _of_part(files: _Files, outputs: Sequence[Output], shard_nbytes: int) -> Iterator[Shard]:
    parts: list[list[Output]] = [[]]
    filled = 0
    for each in outputs:
        if parts[-1] and filled + each.task.spec.nbytes > shard_nbytes:
            parts.append([])
            filled = 0
        parts[-1].append(each)
        filled += each.task.spec.nbytes
    for i, part in enumerate(parts):
        yield _shard(files, files.file(i, len(parts)), part, is_alone=len(parts) == 1)


def index_texts(shards: Sequence[Shard]) -> dict[str, str]:
    """The indexes that tell in which file each tensor is, where there is more than one."""
    sets: dict[str, list[Shard]] = {}
    for each in shards:
        sets.setdefault(each.index, []).append(each)
    return {index: _index_text(inside) for index, inside in sets.items() if index}


def _index_text(shards: Sequence[Shard]) -> str:
    total = sum(slot.spec.nbytes for shard in shards for slot in shard.slots.values())
    weight_map = {
        name.removeprefix(shard.folder): shard.file.removeprefix(shard.folder)
        for shard in shards
        for name in shard.slots
    }
    found = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    return json.dumps(found, indent=2) + "\n"


def create(folder: Path, shard: Shard) -> None:
    """Make the file at its full size with its header, the tensors still empty."""
    path = folder / shard.file
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(shard.header)
        file.truncate(shard.nbytes)


def _shard(files: _Files, file: str, outputs: Sequence[Output], *, is_alone: bool) -> Shard:
    """The layout of one file: widest entries first, so that every tensor is aligned."""
    ordered = sorted(outputs, key=lambda each: -each.task.spec.itemsize)
    described: dict[str, object] = {"__metadata__": {**files.words, "format": "pt"}}
    end = 0
    places = {}
    for each in ordered:
        spec = each.task.spec
        described[each.name.removeprefix(files.folder)] = {
            "dtype": DTYPES[spec.dtype][0],
            "shape": list(spec.shape),
            "data_offsets": [end, end + spec.nbytes],
        }
        places[each.name] = end
        end += spec.nbytes
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(_LENGTH + len(text)) % _ALIGN)
    header = len(text).to_bytes(_LENGTH, "little") + text
    slots = {
        each.name: Slot(file, len(header) + places[each.name], each.task.spec) for each in ordered
    }
    index = "" if is_alone else files.index
    return Shard(file, header, len(header) + end, slots, files.folder, index)
