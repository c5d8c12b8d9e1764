"""What a result is, byte by byte, and in what two of them differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

MANIFEST = "mergegraph.json"
_CHUNK = 2**22
_OF_LAYOUT = (".index.json",)  # beside shards, these differ with their sizes
_OF_PLACES = ("README.md", "adapter_config.json", MANIFEST)  # these name paths


@dataclass(frozen=True)
class Content:
    """SHA-256 of every tensor, read from the files themselves, and of the files beside them."""

    tensors: Mapping[str, str]
    sides: Mapping[str, str]
    manifest: Mapping[str, str]

    def differences(self, other: Content, *, is_placed_alike: bool) -> list[str]:
        """What differs; of files that name paths, only if both were asked for in the same words."""
        found = _unequal(self.tensors, other.tensors)
        left_out = () if is_placed_alike else _OF_PLACES
        sides = [_without(each.sides, left_out) for each in (self, other)]
        found += _unequal(*sides)
        return found + [f"{name} in the manifest" for name in self.mistaken + other.mistaken]

    @property
    def mistaken(self) -> list[str]:
        """Tensors of which the manifest says other than the files."""
        return _unequal(self.tensors, self.manifest)


def content_of(folder: Path) -> Content:
    """Read a result, by nothing but the format's page."""
    tensors: dict[str, str] = {}
    sides = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            tensors |= _tensors(path)
        elif path.is_file() and not name.endswith(_OF_LAYOUT):
            sides[name] = sha256(path.read_bytes()).hexdigest()
    manifest = json.loads((folder / MANIFEST).read_text())
    told = {name: each["sha256"] for name, each in manifest["tensors"].items()}
    return Content(tensors, sides, told)


def _tensors(path: Path) -> dict[str, str]:
    found = {}
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
        for name, each in header.items():
            if name == "__metadata__":
                continue
            start, stop = each["data_offsets"]
            file.seek(8 + length + start)
            digest = sha256()
            for at in range(start, stop, _CHUNK):
                digest.update(file.read(min(_CHUNK, stop - at)))
            found[name] = digest.hexdigest()
    return found


def _unequal(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    names = {**first, **second}
    return [name for name in names if first.get(name) != second.get(name)]


def _without(sides: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: digest for name, digest in sides.items() if name not in names}
