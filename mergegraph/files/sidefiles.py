"""Side files: what stands beside a model's weights and goes with them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from mergegraph.files.trees import Tree

_WEIGHTS = {
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".gguf",
    ".ggml",
    ".h5",
    ".keras",
    ".msgpack",
    ".onnx",
    ".onnx_data",
    ".ot",
    ".tflite",
    ".mlmodel",
    ".npy",
    ".npz",
    ".pkl",
    ".pickle",
    ".joblib",
    ".dill",
    ".distcp",
    ".pdparams",
    ".nemo",
    ".llamafile",
}
_WRITTEN_HERE = {"README.md", "config.json", "mergegraph.json", "mergekit_config.yml"}
_INDEX = re.compile(r"\.index(?:\.[\w-]+)?\.json$")
_DEEPEST = 3  # parts of a name: files in folders of folders belong to something else
_PICKLE = b"\x80"
_ZIP = b"PK\x03\x04"  # what torch.save writes


@dataclass(frozen=True)
class Beside:
    """The names of side files, relative to their model, and a note for each thing left out."""

    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_side_files(tree: Tree, parts: Collection[str] = ("",)) -> Beside:
    """Every file that is neither weights nor written anew, also in folders below.

    Hidden files stay behind, and so do folders with weights of their own, which are other models,
    links that lead out of the model, and names that cannot be shown; for these there is a note. The
    folders of the model's own parts are no other models.
    """
    found = _on_disk(tree.root, parts) if tree.is_local else _elsewhere(tree.names(), parts)
    configs = {f"{part}config.json" for part in parts}
    odd = [name for name in found.files if not name.isprintable()]
    notes = [*found.notes, *(f"{tree.root / name}: not copied, its name is odd" for name in odd)]
    files = tuple(name for name in found.files if name not in (*configs, *odd))
    code = [name for name in files if name.endswith(".py")]
    told = f"{tree.label}: its code is copied, and not run: {', '.join(code)}"
    return Beside(files, (*notes, told) if code else tuple(notes))


def _elsewhere(names: Iterable[str], parts: Collection[str]) -> Beside:
    """The side files among names: what they hold is not looked at before they are fetched."""
    paths = [PurePosixPath(name) for name in sorted(names)]
    own = {PurePosixPath(part) for part in ("", *parts)}
    others = {path.parent for path in paths if _is_weights(path)} - own
    found = [
        path.as_posix()
        for path in paths
        if not _is_weights(path)
        and path.as_posix() not in _WRITTEN_HERE
        and not any(part.startswith(".") for part in path.parts)
        and len(path.parts) <= _DEEPEST
        and not others.intersection(path.parents)
    ]
    notes = [f"{each}: not copied, it has weights of its own" for each in sorted(others)]
    return Beside(tuple(found), tuple(notes))


def _on_disk(root: Path, parts: Collection[str]) -> Beside:
    files: list[str] = []
    notes: list[str] = []
    for path in _below(root, root, parts, notes):
        name = path.relative_to(root).as_posix()
        if name in _WRITTEN_HERE or _is_weights(path):
            continue
        if not path.is_file():
            notes.append(f"{path}: not copied, it is no file, or a link that leads nowhere")
            continue
        if not stays_inside(path, root):
            notes.append(f"{path}: not copied, it is a link that leads out of the model")
        elif not _is_pickle(path):
            files.append(name)
    return Beside(tuple(files), tuple(notes))


def stays_inside(path: Path, root: Path) -> bool:
    """Whether a path, its links followed, ends in its model or in the Hub cache's files of it."""
    try:
        target, home = path.resolve(), root.resolve()
    except (OSError, RuntimeError):  # links in a circle
        return False
    allowed = [home]
    allowed += [each.parent / "blobs" for each in home.parents if each.name == "snapshots"]
    return any(target.is_relative_to(each) for each in allowed)


def has_weights(folder: Path) -> bool:
    """Whether a folder holds weights in any format."""
    return any(map(_is_weights, folder.iterdir()))


def _below(folder: Path, root: Path, parts: Collection[str], notes: list[str]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            yield path
        elif path.is_symlink():
            notes.append(f"{path}: not copied, it is a link to a folder")
        elif len(path.relative_to(root).parts) < _DEEPEST:
            is_part = f"{path.relative_to(root).as_posix()}/" in parts
            if has_weights(path) and not is_part:
                notes.append(f"{path}: not copied, it has weights of its own")
            else:
                yield from _below(path, root, parts, notes)


def are_weights(name: str) -> bool:
    """Whether a file holds weights, be they read or not, by its name."""
    return _is_weights(PurePosixPath(name))


def _is_weights(path: PurePath) -> bool:
    return path.suffix.lower() in _WEIGHTS or _INDEX.search(path.name) is not None


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith((_PICKLE, _ZIP))
