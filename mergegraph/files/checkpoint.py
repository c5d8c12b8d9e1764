"""Checkpoints: models known by the headers of their files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mergegraph.config import Config
from mergegraph.errors import MergeGraphError
from mergegraph.files.folders import Folder, open_file, open_folder
from mergegraph.files.header import Entry, Header
from mergegraph.files.parts import names_in, parts_of
from mergegraph.files.sidefiles import Beside, find_side_files
from mergegraph.files.trees import Tree
from mergegraph.files.weights import is_weights

INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
_OF_MODELS = ("model", "pytorch_model")
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_LARGEST_TOLD = 64 * 1024  # bytes of a tensor that tells of others


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model by its files: its tensors' places, its config and what stands beside its weights.

    The tensors of a part begin with its folder, as `unet/`, and `stems` has what the files of each
    are called in results. Notes speak of side files, remarks of what was read of the weights.
    """

    reference: str
    tree: Tree
    entries: Mapping[str, Entry]
    headers: Mapping[str, Header]
    config: Config
    side_files: tuple[str, ...]
    notes: tuple[str, ...] = ()
    stems: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Its directory, or the only file that it is."""
        return self.tree.root / (self.tree.single or "")

    def read(self, name: str) -> bytes:
        """The bytes of a tensor that tells of others, read at once: it must be a small one."""
        entry = self.entries[name]
        if entry.spec.nbytes > _LARGEST_TOLD:
            raise MergeGraphError(
                f"{self.reference}: {name}: {entry.spec} is too large for what it tells"
            )
        file = entry.path.relative_to(self.tree.root).as_posix()
        return self.tree.read(file, entry.offset, entry.offset + entry.spec.nbytes)

    def called(self, reference: str) -> Checkpoint:
        """The same by another name."""
        return replace(self, reference=reference)


def checkpoint_of(reference: str, tree: Tree) -> Checkpoint:
    """The checkpoint that some files are; raises MergeGraphError if they are not sound."""
    if tree.single is not None:
        return _opened(reference, tree, {"": open_file(tree, tree.single)}, Beside())
    if is_adapter(tree):
        raise MergeGraphError(
            f"{tree.label}: an adapter ({ADAPTER}), not a model; name it as model+adapter, or "
            "merge adapters with adapters only"
        )
    folders = {each: open_folder(tree, each) for each in parts_of(tree)}
    return _opened(reference, tree, folders, find_side_files(tree, folders))


def is_adapter(tree: Tree) -> bool:
    """Whether some files are an adapter, which is used with a model, and not a model with one."""
    if tree.single is not None or ADAPTER not in tree.names():
        return False
    return not any(is_weights(each) and each.startswith(_OF_MODELS) for each in tree.names())


def adapter_checkpoint_of(reference: str, tree: Tree) -> Checkpoint:
    """The adapter in some files; raises MergeGraphError if there is none, or it is not sound."""
    present = tree.names() if tree.single is None else ()
    if ADAPTER not in present:
        raise MergeGraphError(f"{tree.label}: not an adapter: it has no {ADAPTER}")
    weights = next((each for each in ADAPTER_WEIGHTS if each in present), None)
    if weights is None:
        raise MergeGraphError(f"{tree.label}: has {ADAPTER} and no {ADAPTER_WEIGHTS[0]}")
    return _opened(reference, tree, {"": open_file(tree, weights)}, Beside())


def _unread(tree: Tree, folders: Collection[str]) -> Iterator[str]:
    """A remark on each file of weights that stands beside the parts of a model."""
    for name in () if "" in folders else names_in(tree, ""):
        if is_weights(name):
            yield f"{tree.root / name}: not read, the weights are those of its folders"


def _words(folder: Folder) -> dict[str, str]:
    """What the headers of all files say, but for what is true of one file alone."""
    first, *others = (header.words for header in folder.headers.values())
    shared = first.items() - {("format", first.get("format"))}
    for words in others:
        shared &= words.items()
    return {key: value for key, value in sorted(shared) if "hash" not in key}


def _opened(
    reference: str, tree: Tree, folders: Mapping[str, Folder], beside: Beside
) -> Checkpoint:
    headers = {name: header for each in folders.values() for name, header in each.headers.items()}
    entries: dict[str, Entry] = {}
    for folder, each in folders.items():
        for file, header in each.headers.items():
            found = {folder + name: entry for name, entry in header.entries.items()}
            if twice := entries.keys() & found.keys():
                raise MergeGraphError(f"{tree.root / file}: {min(twice)} is in another file, too")
            entries.update(found)
    if not entries:
        raise MergeGraphError(f"{tree.label}: holds no tensors")
    inside = {folder: each.config for folder, each in folders.items() if folder and each.config}
    return Checkpoint(
        reference,
        tree,
        entries,
        headers,
        {**(folders[""].config if "" in folders else {}), **inside},
        beside.files,
        beside.notes,
        words=_words(folders[""]) if "" in folders else {},
        stems={folder: each.stem for folder, each in folders.items()},
        remarks=(
            *(note for each in folders.values() for note in each.notes),
            *_unread(tree, folders),
        ),
    )
