"""Checkpoints: models on disk, known by their headers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from mergegraph.config import Config, quantization
from mergegraph.errors import MergeGraphError, nearest
from mergegraph.header import Entry, Header, read_header

DEMO = "demo:"
INDEX = "model.safetensors.index.json"
_NOT_SIDE_FILES = {
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".gguf",
    ".ggml",
    ".h5",
    ".msgpack",
    ".onnx",
    ".pkl",
    ".pickle",
    ".npz",
}
_WRITTEN_HERE = {"README.md", "config.json", "mergegraph.json", "mergekit_config.yml"}


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk: its tensors' places, its config and the files beside its weights."""

    reference: str
    root: Path
    entries: Mapping[str, Entry]
    headers: Mapping[str, Header]
    config: Config
    side_files: tuple[str, ...]


def open_checkpoint(reference: str) -> Checkpoint:
    """Open a directory, a `.safetensors` file or `demo:NAME` by its headers.

    Raises MergeGraphError if nothing is there, or if what is there is not sound.
    """
    path = _locate(reference)
    if path.is_file():
        return _opened(reference, path.parent, [path.name], with_sides=False)
    index = path / INDEX
    if index.is_file():
        weight_map = _weight_map(index)
        checkpoint = _opened(reference, path, sorted(set(weight_map.values())))
        _check_index(index, weight_map, checkpoint.headers)
        return checkpoint
    return _opened(reference, path, [_only_weights(path)])


def read_header_of(path: Path) -> dict[str, Entry]:
    """The tensors of a directory's weights by its files alone, whatever an index says."""
    if not path.is_dir():
        raise MergeGraphError(f"{path}: no such directory")
    headers = [read_header(file) for file in sorted(path.glob("*.safetensors"))]
    return {name: entry for header in headers for name, entry in header.entries.items()}


def _locate(reference: str) -> Path:
    if reference.startswith(DEMO):
        return _demo(reference.removeprefix(DEMO))
    path = Path(reference).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == ".safetensors"):
        return path
    if path.exists():
        raise MergeGraphError(f"{reference}: neither a directory nor a .safetensors file")
    beside = [str(path.parent / each.name) for each in path.parent.glob("*") if each.is_dir()]
    hint = nearest(reference, beside) if beside and len(beside) < 50 else ""  # noqa: PLR2004
    raise MergeGraphError(
        f"{reference}: no such directory, file or stage (models are not fetched from the Hub){hint}"
    )


def _demo(name: str) -> Path:
    family = Path(str(files("mergegraph") / "demo" / "family"))
    known = sorted(each.name for each in family.glob("*") if (each / "config.json").is_file())
    if name not in known:
        raise MergeGraphError(f"{DEMO}{name}: not in the demo family{nearest(name, known)}")
    return family / name


def _only_weights(path: Path) -> str:
    found = sorted(each.name for each in path.glob("*.safetensors"))
    if "model.safetensors" in found:
        return "model.safetensors"
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(found[:4])
        raise MergeGraphError(f"{path}: several weight files ({names}) and no {INDEX} to join them")
    pickled = any(path.glob("*.bin")) or any(path.glob("*.pt"))
    remedy = "; only safetensors files are read, convert its weights first" if pickled else ""
    raise MergeGraphError(f"{path}: holds no .safetensors file{remedy}")


def _opened(reference: str, root: Path, names: list[str], *, with_sides: bool = True) -> Checkpoint:
    headers = {name: read_header(root / name) for name in names}
    entries: dict[str, Entry] = {}
    for name, header in headers.items():
        if twice := entries.keys() & header.entries.keys():
            raise MergeGraphError(f"{root / name}: {min(twice)} is in another file, too")
        entries.update(header.entries)
    if not entries:
        raise MergeGraphError(f"{root}: holds no tensors")
    config = read_json(root / "config.json") if with_sides else {}
    if scheme := quantization(config):
        raise MergeGraphError(
            f"{root}: its weights are quantised ({scheme}); dequantise the model first"
        )
    sides = _side_files(root) if with_sides else ()
    return Checkpoint(reference, root, entries, headers, config, sides)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if there is no file."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MergeGraphError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise MergeGraphError(f"{path}: not a JSON object")
    return found


def _weight_map(index: Path) -> dict[str, str]:
    found = read_json(index).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise MergeGraphError(f"{index}: has no weight_map")
    for name, file in found.items():
        if not isinstance(file, str) or Path(file).name != file or file in ("", ".", ".."):
            raise MergeGraphError(
                f"{index}: {name} is said to be in {file!r}, not a file beside it"
            )
    return found


def _check_index(index: Path, weight_map: Mapping[str, str], headers: Mapping[str, Header]) -> None:
    for name, file in weight_map.items():
        if name not in headers[file].entries:
            raise MergeGraphError(f"{index}: {file} does not hold {name}")
    stored = {name for header in headers.values() for name in header.entries}
    if unnamed := stored - weight_map.keys():
        raise MergeGraphError(f"{index}: does not name {min(unnamed)}, which is in the files")


def _side_files(root: Path) -> tuple[str, ...]:
    """Every file that is neither weights nor written anew, also in folders below."""
    found = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        hidden = any(part.startswith(".") for part in name.parts)
        weights = path.suffix in _NOT_SIDE_FILES or path.name.endswith(".index.json")
        if path.is_file() and not hidden and not weights and str(name) not in _WRITTEN_HERE:
            found.append(str(name))
    return tuple(found)
