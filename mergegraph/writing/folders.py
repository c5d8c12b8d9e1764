"""Folders of models that are in memory: written at once, for who can only read files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mergegraph.config import Config, config_files
from mergegraph.files.reading import MemoryEntry
from mergegraph.files.trees import stamp_in
from mergegraph.models.model import SideFiles
from mergegraph.ops.arithmetic import load
from mergegraph.plans import Output
from mergegraph.spec import Spec
from mergegraph.writing.copying import copy_file
from mergegraph.writing.shards import create, index_texts, lay_out

_SHARD = 5 * 10**9  # bytes of a file, as of results


def write_sides(folder: Path, config: Config, sides: SideFiles) -> None:
    """Put what goes with the weights into a folder: the config, copies of files, and texts."""
    if sides.tree is not None and not sides.tree.is_local:
        sides.tree.fetch(sides.names, lambda _nbytes: None)
    for name in sides.names:
        assert sides.tree is not None, "files are those of a tree"
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_file(sides.tree.root / name, target, stamp_in(sides.tree, name))
    texts = {name: json.dumps(part, indent=2) + "\n" for name, part in config_files(config)}
    for name, text in {**(sides.texts or {}), **texts}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def write_weights(folder: Path, tensors: Mapping[str, Any], sides: SideFiles) -> None:
    """Put tensors into shards as results have them; names of one tensor have a copy each."""
    outputs = [Output(folder, name, _read(name, tensor)) for name, tensor in tensors.items()]
    shards = lay_out(outputs, _SHARD, sides.stems, sides.words)
    for shard in shards:
        create(folder, shard)
        with (folder / shard.file).open("r+b") as file:
            for name, slot in shard.slots.items():
                file.seek(slot.offset)
                file.write(_bytes(tensors[name]))
    for name, text in index_texts(shards).items():
        (folder / name).write_text(text, encoding="utf-8")


def _read(name: str, tensor: Any) -> Any:
    return load(entry=MemoryEntry(tensor, Spec.of(tensor), f"memory:{name}"))


def _bytes(tensor: Any) -> memoryview:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    found: memoryview = flat.view(torch.uint8).numpy().data
    return found
