"""Checkpoints: models on disk, known by their headers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from mergegraph.config import Config, quantization
from mergegraph.errors import MergeGraphError, nearest
from mergegraph.header import Entry, Header, read_header
from mergegraph.names import is_quantized
from mergegraph.sidefiles import Beside, find_side_files, has_weights, stays_inside

DEMO = "demo:"
INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_CONFIG = "config.json"
_ADAPTER = "adapter_config.json"
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_DEEPEST = 100  # of JSON files; a config has five levels


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk: its tensors' places, its config and the files beside its weights.

    `path` is its directory, or the only file that it is.
    """

    reference: str
    path: Path
    root: Path
    entries: Mapping[str, Entry]
    headers: Mapping[str, Header]
    config: Config
    side_files: tuple[str, ...]
    notes: tuple[str, ...] = ()


def open_checkpoint(reference: str) -> Checkpoint:
    """Open a directory, a `.safetensors` file or `demo:NAME` by its headers.

    Raises MergeGraphError if nothing is there, or if what is there is not sound.
    """
    try:
        path = _locate(reference)
        return _file(reference, path) if path.is_file() else _directory(reference, path)
    except OSError as error:
        at = error.filename or reference
        raise MergeGraphError(f"{at}: cannot be read: {error.strerror}") from error


def read_header_of(path: Path) -> dict[str, Entry]:
    """The tensors of a directory's weights by its files alone, whatever an index says."""
    if not path.is_dir():
        raise MergeGraphError(f"{path}: no such directory")
    headers = [read_header(file) for file in sorted(path.glob("*.safetensors"))]
    return {name: entry for header in headers for name, entry in header.entries.items()}


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
    if _is_deep(found, _DEEPEST):
        raise MergeGraphError(f"{path}: nested too deeply")
    return found


def _is_deep(value: Any, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left == 0 or any(_is_deep(each, left - 1) for each in inner)


# -- what a reference names ------------------------------------------------------------------


def _locate(reference: str) -> Path:
    if reference.startswith(DEMO):
        return _demo(reference.removeprefix(DEMO))
    path = Path(reference)
    if reference.startswith("~"):
        path = _at_home(path)
    if path.is_dir() or (path.is_file() and path.suffix == ".safetensors"):
        return path
    if path.exists():
        raise MergeGraphError(f"{reference}: neither a directory nor a .safetensors file")
    raise MergeGraphError(f"{reference}: {_absent(reference, path)}")


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise MergeGraphError(f"{path}: {error}") from error


def _demo(name: str) -> Path:
    family = Path(str(files("mergegraph") / "demo" / "family"))
    known = sorted(each.name for each in family.glob("*") if (each / _CONFIG).is_file())
    if name not in known:
        raise MergeGraphError(f"{DEMO}{name}: not in the demo family{nearest(name, known)}")
    return family / name


def _absent(reference: str, path: Path) -> str:
    """Why nothing is there, and the remedy for what was probably meant."""
    if "+" in reference:
        return "adapters cannot be merged yet; merge it into its model first, and name the result"
    if "@" in reference:
        return "revisions cannot be fetched yet; download it first, and name the directory"
    beside = [each.as_posix() for each in path.parent.glob("*") if each.is_dir()]
    hint = nearest(path.as_posix(), beside, only_close=True)
    if not hint and _HUB_ID.fullmatch(reference) and not path.parent.is_dir():
        return (
            "no such directory, and models cannot be fetched from the Hub yet; download it first "
            f"(hf download {reference} --local-dir {path.name}), and name the directory"
        )
    return f"no such directory, file or stage{hint}"


# -- what is there ---------------------------------------------------------------------------


def _file(reference: str, path: Path) -> Checkpoint:
    return _opened(reference, path, path.parent, [path.name], {}, Beside())


def _directory(reference: str, path: Path) -> Checkpoint:
    if (path / _ADAPTER).is_file():
        raise MergeGraphError(
            f"{path}: an adapter ({_ADAPTER}), and adapters cannot be merged yet; merge it into "
            "its model first, and name the result"
        )
    config = _config(path)
    index = path / INDEX
    weight_map = _weight_map(index) if index.is_file() else {}
    names = sorted(set(weight_map.values())) or [_only_weights(path)]
    checkpoint = _opened(reference, path, path, names, config, find_side_files(path))
    if weight_map:
        _check_index(index, weight_map, checkpoint.headers)
    return checkpoint


def _config(root: Path) -> dict[str, Any]:
    path = root / _CONFIG
    if not stays_inside(path, root):
        raise MergeGraphError(f"{path}: a link that leads out of the model; put a copy there")
    config = read_json(path)
    if scheme := quantization(config):
        raise MergeGraphError(
            f"{root}: its weights are quantised ({scheme}); dequantise the model first"
        )
    return config


def _only_weights(path: Path) -> str:
    found = sorted(each.name for each in path.glob("*.safetensors"))
    if _SINGLE in found:
        return _SINGLE
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(found[:4])
        raise MergeGraphError(f"{path}: several weight files ({names}) and no {INDEX} to join them")
    raise MergeGraphError(f"{path}: holds no .safetensors file{_elsewhere(path)}")


def _elsewhere(path: Path) -> str:
    """Where the weights are if they are not where they should be."""
    if has_weights(path):
        return "; weights in other formats are not read, save them as safetensors first"
    folders = sorted(each.name for each in path.glob("*") if any(each.glob("*.safetensors")))
    return f"; did you mean its folder {' or '.join(folders[:4])}?" if folders else ""


def _opened(
    reference: str, path: Path, root: Path, names: list[str], config: Config, beside: Beside
) -> Checkpoint:
    headers = {name: read_header(root / name) for name in names}
    entries: dict[str, Entry] = {}
    for name, header in headers.items():
        if twice := entries.keys() & header.entries.keys():
            raise MergeGraphError(f"{root / name}: {min(twice)} is in another file, too")
        entries.update(header.entries)
    if not entries:
        raise MergeGraphError(f"{root}: holds no tensors")
    if packed := next(filter(is_quantized, entries), None):
        raise MergeGraphError(
            f"{root}: its weights are quantised ({packed}); dequantise the model first"
        )
    return Checkpoint(reference, path, root, entries, headers, config, beside.files, beside.notes)


# -- the index of sharded weights --------------------------------------------------------------


def _weight_map(index: Path) -> dict[str, str]:
    found = read_json(index).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise MergeGraphError(f"{index}: has no weight_map")
    for name, file in found.items():
        if not _is_file_name(file):
            raise MergeGraphError(
                f"{index}: {name} is said to be in {file!r}, not a file beside it"
            )
    named = sorted(set(found.values()))
    if lost := [file for file in named if not (index.parent / file).exists()]:
        files = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")  # noqa: PLR2004
        raise MergeGraphError(f"{index}: names {files}: not there; is the download complete?")
    if _SINGLE not in named and (index.parent / _SINGLE).exists():
        raise MergeGraphError(f"{index}: does not name {_SINGLE}; delete whichever is out of date")
    return found


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
