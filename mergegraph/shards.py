"""Shards: output files laid out before the run, every tensor at a fixed place."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mergegraph.plans import Output
from mergegraph.spec import DTYPES, Spec

_LENGTH = 8  # bytes that say how long the header is
_SHARD = re.compile(r"model(?:-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json")
_ALIGN = 4096  # where the tensors start: whole blocks can be written past the page cache


@dataclass(frozen=True)
class Slot:
    """The place of a tensor: bytes `[offset, offset + nbytes)` of a file."""

    file: str
    offset: int
    spec: Spec


@dataclass(frozen=True)
class Shard:
    """One output file: its header, its size, and its tensors."""

    file: str
    header: bytes
    nbytes: int
    slots: dict[str, Slot]


def is_shard(name: str) -> bool:
    """Whether a file is called as output files are, or their index."""
    return _SHARD.fullmatch(name) is not None


def lay_out(outputs: Sequence[Output], shard_nbytes: int) -> tuple[Shard, ...]:
    """Divide the tensors of one directory among files of at most `shard_nbytes` each.

    A tensor larger than that has a file of its own. Tensors keep their order.
    """
    parts: list[list[Output]] = [[]]
    filled = 0
    for each in outputs:
        if parts[-1] and filled + each.task.spec.nbytes > shard_nbytes:
            parts.append([])
            filled = 0
        parts[-1].append(each)
        filled += each.task.spec.nbytes
    return tuple(_shard(_file_name(i, len(parts)), part) for i, part in enumerate(parts))


def index_text(shards: Sequence[Shard]) -> str:
    """The index that tells in which file each tensor is."""
    total = sum(slot.spec.nbytes for shard in shards for slot in shard.slots.values())
    weight_map = {name: shard.file for shard in shards for name in shard.slots}
    found = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    return json.dumps(found, indent=2) + "\n"


def create(folder: Path, shard: Shard) -> None:
    """Make the file at its full size with its header, the tensors still empty."""
    with (folder / shard.file).open("wb") as file:
        file.write(shard.header)
        file.truncate(shard.nbytes)


def _file_name(number: int, count: int) -> str:
    if count == 1:
        return "model.safetensors"
    return f"model-{number + 1:05d}-of-{count:05d}.safetensors"


def _shard(file: str, outputs: Sequence[Output]) -> Shard:
    """The layout of one file: widest entries first, so that every tensor is aligned."""
    ordered = sorted(outputs, key=lambda each: -each.task.spec.itemsize)
    described: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    places = {}
    for each in ordered:
        spec = each.task.spec
        described[each.name] = {
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
    return Shard(file, header, len(header) + end, slots)
