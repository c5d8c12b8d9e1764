"""The parts of a model that stands in several folders, as pipelines and sentence encoders do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.jsonfiles import json_in, parse_json
from mergegraph.files.sidefiles import are_weights
from mergegraph.files.trees import LocalTree, Tree, read_document

_PIPELINE = "model_index.json"  # of diffusers: each key is a folder
_MODULES = "modules.json"  # of sentence-transformers: a list, each with the path of a folder
_ROUTES = "router_config.json"  # of a module of theirs that chooses among others


def parts_of(tree: Tree) -> tuple[str, ...]:
    """The folders that hold weights of a model, as `unet/`; "" is the root.

    A model that says nothing of parts is all in its root.
    """
    present = tree.names()
    if _PIPELINE in present:
        found = [each for each in _pipeline(tree) if _has_weights(tree, each)]
        if not found:
            fact = f"its {_PIPELINE} names no folder with weights; is the download complete?"
            raise MergeGraphError(f"{tree.label}: {fact}")
        return tuple(found)
    if _MODULES in present:
        found = [each for each in _modules(tree) if _has_weights(tree, each)]
        return tuple(found) or ("",)
    return ("",)


def names_in(tree: Tree, folder: str) -> tuple[str, ...]:
    """The files right in a folder of a tree, without its name; none if there is no such folder."""
    if not tree.is_local or not folder:
        below = (n.removeprefix(folder) for n in tree.names() if n.startswith(folder))
        return tuple(name for name in below if "/" not in name)
    path = tree.root / folder
    return LocalTree(path, str(path)).names() if path.is_dir() else ()


def _has_weights(tree: Tree, folder: str) -> bool:
    return any(map(are_weights, names_in(tree, folder)))


def _pipeline(tree: Tree) -> Iterator[str]:
    path = tree.root / _PIPELINE
    for name, value in json_in(tree, _PIPELINE, str(path)).items():
        if not name.startswith("_") and isinstance(value, list) and any(value):
            yield _folder(str(path), name)


def _modules(tree: Tree) -> Iterator[str]:
    """The folders of modules, and those of the modules that a router chooses among."""
    path = tree.root / _MODULES
    listed = parse_json(b'{"listed":' + read_document(tree, _MODULES) + b"}", str(path))["listed"]
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise MergeGraphError(f"{path}: not a list of modules")
    for module in listed:
        folder = _folder(str(path), module.get("path"))
        yield folder
        if _ROUTES in names_in(tree, folder):
            routes = tree.root / f"{folder}{_ROUTES}"
            told = json_in(tree, f"{folder}{_ROUTES}", str(routes)).get("types")
            for name in told if isinstance(told, dict) else ():
                yield folder + _folder(str(routes), name)


def _folder(place: str, name: Any) -> str:
    """A folder as it is put before the names of tensors; raises MergeGraphError if it is none."""
    parts = PurePosixPath(name).parts if _is_plain(name) else ("..",)
    if ".." in parts or (parts and parts[0].startswith(("/", "~"))):
        raise MergeGraphError(f"{place}: {name!r} is not a folder inside the model")
    return "".join(f"{part}/" for part in parts)


def _is_plain(name: Any) -> bool:
    return isinstance(name, str) and name.isprintable() and "\\" not in name and ":" not in name
