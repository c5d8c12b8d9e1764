"""One folder of a model: the headers of its weights, whatever their format, and its config."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergegraph.config import Config
from mergegraph.errors import MergeGraphError
from mergegraph.files.header import Header, header_of
from mergegraph.files.jsonfiles import LARGEST_CONFIG, json_in
from mergegraph.files.parts import names_in
from mergegraph.files.pickles import header_of_pickle
from mergegraph.files.sidefiles import has_weights, stays_inside
from mergegraph.files.trees import Tree, place_in
from mergegraph.files.weights import (
    GGUF,
    KINDS,
    PICKLES,
    SAFE,
    Weights,
    is_weights,
    not_read,
    weights_among,
)

_CONFIG = "config.json"
_FEW = 4


@dataclass(frozen=True)
class Folder:
    """The weights of a folder by their headers; `stem` is what its files are called in results."""

    headers: Mapping[str, Header]
    stem: str
    config: Config
    notes: tuple[str, ...] = ()


def open_file(tree: Tree, name: str) -> Folder:
    """A file that is a whole model; raises MergeGraphError if it is not sound."""
    header = _header(tree, name)
    return Folder({name: header}, "model", {}, header.notes)


def open_folder(tree: Tree, folder: str) -> Folder:
    """A folder of a model, "" the root; raises MergeGraphError if it is not sound."""
    present = names_in(tree, folder)
    label = f"{tree.root / folder}" if folder else tree.label
    if tree.is_local and not stays_inside(tree.root / folder, tree.root):
        raise MergeGraphError(f"{label}: a link that leads out of the model; put a copy there")
    weights = weights_among(label, present)
    if weights is None:
        if gguf := next((name for name in present if name.endswith(GGUF)), None):
            raise not_read(f"{tree.root / folder / gguf}")
        fact = f"holds no weights ({', '.join(KINDS)})"
        raise MergeGraphError(f"{label}: {fact}{_elsewhere(tree, folder)}")
    weight_map = _weight_map(tree, folder, weights.file, present) if weights.is_index else {}
    files = sorted(set(weight_map.values())) or [weights.file]
    headers = {folder + file: _header(tree, folder + file) for file in files}
    if weight_map:
        _check_index(place_in(tree, folder + weights.file), folder, weight_map, headers)
    notes = [note for header in headers.values() for note in header.notes]
    notes += _choice(label, weights, present, files)
    return Folder(headers, weights.stem, _config(tree, folder, present), tuple(notes))


def _header(tree: Tree, name: str) -> Header:
    return header_of_pickle(tree, name) if name.endswith(PICKLES) else header_of(tree, name)


def _choice(
    label: str, weights: Weights, present: Collection[str], files: Collection[str]
) -> list[str]:
    """What is told of files that might be the weights, too."""
    others = [each for each in present if is_weights(each) and each not in files]
    notes = []
    if weights.variant:
        notes.append(f"{label}: its only weights are of the variant {weights.variant}")
    if others:
        more = f" and {len(others) - _FEW} more" if len(others) > _FEW else ""
        told = ", ".join(others[:_FEW]) + more
        notes.append(f"{label}: {weights.file} has the weights; not read: {told}")
    return notes


def _config(tree: Tree, folder: str, present: Collection[str]) -> dict[str, Any]:
    if _CONFIG not in present:
        return {}
    path = tree.root / folder / _CONFIG
    if tree.is_local and not stays_inside(path, tree.root):
        raise MergeGraphError(f"{path}: a link that leads out of the model; put a copy there")
    found = json_in(tree, folder + _CONFIG, str(path), most=LARGEST_CONFIG)
    if odd := next((key for key in found if key.endswith("/")), None):
        raise MergeGraphError(f"{path}: its key {odd!r} ends as a folder does; rename it")
    return found


def _elsewhere(tree: Tree, folder: str) -> str:
    """Where the weights are if they are not where they should be."""
    if not tree.is_local:
        return ""
    path = tree.root / folder
    if has_weights(path):
        return "; weights in other formats are not read, save them as safetensors first"
    below = sorted(each.name for each in path.glob("*") if any(each.glob(f"*{SAFE}")))
    return f"; did you mean its folder {' or '.join(below[:_FEW])}?" if below else ""


# -- the index of sharded weights --------------------------------------------------------------


def _weight_map(tree: Tree, folder: str, name: str, present: Collection[str]) -> dict[str, str]:
    index = place_in(tree, folder + name)
    found = json_in(tree, folder + name, index).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise MergeGraphError(f"{index}: has no weight_map")
    for tensor, file in found.items():
        if not _is_file_name(file):
            raise MergeGraphError(
                f"{index}: {tensor} is said to be in {file!r}, not a file beside it"
            )
    named = sorted(set(found.values()))
    if lost := [file for file in named if not _is_there(tree, folder + file, file in present)]:
        files = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")  # noqa: PLR2004
        remedy = "is the download complete?" if tree.is_local else "ask its owner to upload it"
        raise MergeGraphError(f"{index}: names {files}: not there; {remedy}")
    whole = name.removesuffix(".index.json")
    if whole != name and whole not in named and whole in present:
        raise MergeGraphError(f"{index}: does not name {whole}; delete whichever is out of date")
    return found


def _is_there(tree: Tree, file: str, is_listed: bool) -> bool:  # noqa: FBT001
    return is_listed or (tree.is_local and (tree.root / file).exists())


def _is_file_name(file: Any) -> bool:
    if not isinstance(file, str) or file in ("", "..") or not file.isprintable():
        return False
    return Path(file).name == file


def _check_index(
    index: str, folder: str, weight_map: Mapping[str, str], headers: Mapping[str, Header]
) -> None:
    for name, file in weight_map.items():
        if name not in headers[folder + file].entries:
            raise MergeGraphError(f"{index}: {file} does not hold {name}")
    stored = {name for header in headers.values() for name in header.entries}
    if unnamed := stored - weight_map.keys():
        raise MergeGraphError(f"{index}: does not name {min(unnamed)}, which is in the files")
