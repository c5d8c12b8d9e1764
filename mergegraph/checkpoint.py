"""Checkpoints: models known by the headers of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mergegraph.config import Config
from mergegraph.errors import MergeGraphError
from mergegraph.header import Entry, Header, header_of
from mergegraph.jsonfiles import parse_json
from mergegraph.sidefiles import Beside, find_side_files, has_weights, stays_inside
from mergegraph.trees import Tree

INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
_SINGLE = "model.safetensors"
_CONFIG = "config.json"
_WEIGHTS = ".safetensors"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model by its files: its tensors' places, its config and what stands beside its weights."""

    reference: str
    tree: Tree
    entries: Mapping[str, Entry]
    headers: Mapping[str, Header]
    config: Config
    side_files: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Its directory, or the only file that it is."""
        return self.tree.root / (self.tree.single or "")

    def called(self, reference: str) -> Checkpoint:
        """The same by another name."""
        return replace(self, reference=reference)


def checkpoint_of(reference: str, tree: Tree) -> Checkpoint:
    """The checkpoint that some files are; raises MergeGraphError if they are not sound."""
    if tree.single is not None:
        return _opened(reference, tree, [tree.single], {}, Beside())
    present = tree.names()
    if ADAPTER in present:
        raise MergeGraphError(
            f"{tree.label}: an adapter ({ADAPTER}), and adapters cannot be merged yet; merge it "
            "into its model first, and name the result"
        )
    config = _config(tree) if _CONFIG in present else {}
    weight_map = _weight_map(tree, present) if INDEX in present else {}
    names = sorted(set(weight_map.values())) or [_only_weights(tree, present)]
    checkpoint = _opened(reference, tree, names, config, find_side_files(tree))
    if weight_map:
        _check_index(tree.root / INDEX, weight_map, checkpoint.headers)
    return checkpoint


def _config(tree: Tree) -> dict[str, Any]:
    path = tree.root / _CONFIG
    if tree.is_local and not stays_inside(path, tree.root):
        raise MergeGraphError(f"{path}: a link that leads out of the model; put a copy there")
    return parse_json(tree.read(_CONFIG), str(path))


def _only_weights(tree: Tree, present: tuple[str, ...]) -> str:
    found = [each for each in present if each.endswith(_WEIGHTS) and "/" not in each]
    if _SINGLE in found:
        return _SINGLE
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(found[:4])
        raise MergeGraphError(
            f"{tree.label}: several weight files ({names}) and no {INDEX} to join them"
        )
    raise MergeGraphError(f"{tree.label}: holds no {_WEIGHTS} file{_elsewhere(tree)}")


def _elsewhere(tree: Tree) -> str:
    """Where the weights are if they are not where they should be."""
    if not tree.is_local:
        return ""
    if has_weights(tree.root):
        return "; weights in other formats are not read, save them as safetensors first"
    below = sorted(each.name for each in tree.root.glob("*") if any(each.glob(f"*{_WEIGHTS}")))
    return f"; did you mean its folder {' or '.join(below[:4])}?" if below else ""


def _opened(
    reference: str, tree: Tree, names: list[str], config: Config, beside: Beside
) -> Checkpoint:
    headers = {name: header_of(tree, name) for name in names}
    entries: dict[str, Entry] = {}
    for name, header in headers.items():
        if twice := entries.keys() & header.entries.keys():
            raise MergeGraphError(f"{tree.root / name}: {min(twice)} is in another file, too")
        entries.update(header.entries)
    if not entries:
        raise MergeGraphError(f"{tree.label}: holds no tensors")
    return Checkpoint(reference, tree, entries, headers, config, beside.files, beside.notes)


# -- the index of sharded weights --------------------------------------------------------------


def _weight_map(tree: Tree, present: tuple[str, ...]) -> dict[str, str]:
    index = tree.root / INDEX
    found = parse_json(tree.read(INDEX), str(index)).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise MergeGraphError(f"{index}: has no weight_map")
    for name, file in found.items():
        if not _is_file_name(file):
            raise MergeGraphError(
                f"{index}: {name} is said to be in {file!r}, not a file beside it"
            )
    named = sorted(set(found.values()))
    if lost := [file for file in named if not _is_there(tree, file, present)]:
        files = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")  # noqa: PLR2004
        raise MergeGraphError(f"{index}: names {files}: not there; is the download complete?")
    if _SINGLE not in named and _SINGLE in present:
        raise MergeGraphError(f"{index}: does not name {_SINGLE}; delete whichever is out of date")
    return found


def _is_there(tree: Tree, file: str, present: tuple[str, ...]) -> bool:
    return file in present or (tree.is_local and (tree.root / file).exists())


def _is_file_name(file: Any) -> bool:
    if not isinstance(file, str) or file in ("", "..") or not file.isprintable():
        return False
    return Path(file).name == file


def _check_index(index: Path, weight_map: Mapping[str, str], headers: Mapping[str, Header]) -> None:
    for name, file in weight_map.items():
        if name not in headers[file].entries:
            raise MergeGraphError(f"{index}: {file} does not hold {name}")
    stored = {name for header in headers.values() for name in header.entries}
    if unnamed := stored - weight_map.keys():
        raise MergeGraphError(f"{index}: does not name {min(unnamed)}, which is in the files")
