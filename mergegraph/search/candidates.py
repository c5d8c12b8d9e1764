"""Candidates: models to be examined, of which only what an evaluator asks for is made."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mergegraph.config import Config
from mergegraph.errors import RunError
from mergegraph.evaluators import Candidate
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.files.references import Reference
from mergegraph.files.weights import SAFE
from mergegraph.library import Library
from mergegraph.machine import sized
from mergegraph.models.model import PLAIN, Model, SideFiles
from mergegraph.models.scaled import SCALED
from mergegraph.ops.arithmetic import cast
from mergegraph.running.early import evaluated
from mergegraph.search.examining import Examination
from mergegraph.settings import Settings
from mergegraph.tasks import Task
from mergegraph.writing.folders import write_sides, write_weights

_CONFIG, _INDEX = "config.json", ".safetensors.index.json"


class WrittenError(RunError):
    """An evaluator that wrote into tensors; what others find in them after it is not right."""


def examined(candidate: Candidate, examination: Examination) -> dict[str, float]:
    """The scores of a candidate; raises WrittenError where its tensors are not what they were."""
    try:
        return examination.examine(candidate)
    finally:
        name = candidate.written() if isinstance(candidate, InMemory | OnDisk) else None
        if name is not None:
            fact = f"{examination.evaluator.name} on {candidate.name} wrote into tensor {name}"
            raise WrittenError(f"{fact}, which others look at; have it change a copy")


class InMemory:
    """A model whose tensors are there; folders of it are made below `scratch` while it is open."""

    def __init__(
        self,
        name: str,
        tensors: Mapping[str, Any],
        config: Config,
        sides: SideFiles,
        *,
        scratch: Path | None = None,
    ) -> None:
        self.name = name
        self.tensors = tensors
        self.config = config
        self._made = _Folders(scratch)
        self._sides = sides
        self._versions = _versions(tensors)

    def __enter__(self) -> InMemory:
        return self

    def __exit__(self, *_error: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Take away what was made of it."""
        self._made.clear()

    def written(self) -> str | None:
        """A tensor that somebody has written into."""
        return _changed(self._versions, self.tensors)

    @cached_property
    def files(self) -> Path:
        """A folder of all its files but the weights."""
        return self._made.folder("files", self.config, self._sides)

    @cached_property
    def directory(self) -> Path:
        """A folder of all its files."""
        return self._made.folder("model", self.config, self._sides, self.tensors)


class OnDisk:
    """A model that a reference names, read as merges read it: no pickle is executed."""

    def __init__(
        self,
        reference: str,
        library: Library,
        settings: Settings,
        *,
        name: str | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.name = name or reference
        self._reference = reference
        self._library = library
        self._settings = settings
        self._made = _Folders(scratch)
        self._model = library.shelf().model(reference)
        self._versions: Mapping[str, int] = {}

    def __enter__(self) -> OnDisk:
        return self

    def __exit__(self, *_error: object) -> None:
        self.clear()
        self.__dict__.pop("tensors", None)

    def clear(self) -> None:
        """Take away what was made of it."""
        self._made.clear()

    @property
    def config(self) -> Config:
        """Its config; of quantised weights, which are decoded, as if they had been plain."""
        return self._model.config

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to know of how it was read."""
        return self._model.notes

    @cached_property
    def tensors(self) -> Mapping[str, Any]:
        """Its tensors; raises MergeGraphError where they are too large for the budget."""
        import torch

        tasks = {name: _plain(self._model, name) for name in self._model.tensors}
        nbytes = sum(each.spec.nbytes for each in tasks.values())
        if nbytes > self._settings.budget:
            fact = f"its tensors are {sized(nbytes)}, and --memory {sized(self._settings.budget)}"
            raise RunError(f"{self.name}: {fact}; allow more")
        with torch.inference_mode(mode=False):  # whoever asks may be in it, the workers are not
            values = evaluated(
                list(tasks.values()),
                self._library,
                budget=self._settings.budget,
                threads=self._settings.workers,
            )
        found = {
            name: value.view(task.spec.shape)
            for (name, task), value in zip(tasks.items(), values, strict=True)
        }
        self._versions = _versions(found)
        return found

    def written(self) -> str | None:
        """A tensor that somebody has written into; they are read anew then."""
        name = _changed(self._versions, self.__dict__.get("tensors", {}))
        if name is not None:
            self.clear()
            for each in ("tensors", "files", "directory"):
                self.__dict__.pop(each, None)
        return name

    @cached_property
    def files(self) -> Path:
        """A folder of all its files but the weights."""
        return self._made.folder("files", self.config, self._model.sides)

    @cached_property
    def directory(self) -> Path:
        """Its own directory if transformers can read that, or else one made of its tensors."""
        checkpoint = self._own()
        if checkpoint is None:
            return self._made.folder("model", self.config, self._model.sides, self.tensors)
        tree = checkpoint.tree
        if not tree.is_local:
            tree.fetch(sorted(_loaded(checkpoint)), lambda _nbytes: None)
        return tree.root

    def _own(self) -> Checkpoint | None:
        """The checkpoint that it is, if its files are plain, and all where loaders look."""
        reference = Reference.parse(self._reference)
        checkpoint = self._library.checkpoint(reference.model)
        is_whole = reference.adapter is None and checkpoint.tree.single is None
        is_plain = self._model.tensors.keys() == checkpoint.entries.keys()
        are_safe = all(each.endswith(SAFE) for each in checkpoint.headers)
        is_known = {f"model{SAFE}", f"model{_INDEX}"} & set(checkpoint.tree.names())
        has_parts = "" not in checkpoint.stems
        is_own = is_whole and is_plain and are_safe and (is_known or has_parts)
        return checkpoint if is_own else None


class _Folders:
    """Folders that are made for a while."""

    def __init__(self, scratch: Path | None) -> None:
        self._scratch = scratch
        self._held: list[TemporaryDirectory[str]] = []

    def folder(
        self,
        name: str,
        config: Config,
        sides: SideFiles,
        tensors: Mapping[str, Any] | None = None,
    ) -> Path:
        """A folder of side files, and of tensors if there are some; raises RunError."""
        try:
            self._held.append(TemporaryDirectory(prefix=f"{name}-", dir=self._scratch))
            made = Path(self._held[-1].name)
            write_sides(made, config, sides)
            if tensors is not None:
                write_weights(made, tensors, sides)
        except OSError as error:
            place = error.filename or self._scratch or "the folder for temporary files"
            raise RunError(f"{place}: cannot be written: {error.strerror}") from error
        return made

    def clear(self) -> None:
        """Take away what was made."""
        while self._held:
            self._held.pop().cleanup()


def _versions(tensors: Mapping[str, Any]) -> dict[str, int]:
    """How often each tensor was written into, where that is counted."""
    return {
        name: 0 if each.is_inference() else each._version  # noqa: SLF001 - torch has no other word
        for name, each in tensors.items()
    }


def _changed(before: Mapping[str, int], tensors: Mapping[str, Any]) -> str | None:
    now = _versions(tensors)
    return next((name for name in now if now[name] != before[name]), None)


def _plain(model: Model, name: str) -> Task:
    """A tensor as it is stored, or would be."""
    task, stored = model.tensors[name], model.stored[name]
    if not task.spec.is_float:
        return task
    return cast(task, PLAIN if stored == SCALED else stored)


def _loaded(checkpoint: Checkpoint) -> set[str]:
    """The files of a checkpoint that whoever loads it may look for."""
    told = {each for each in checkpoint.tree.names() if each.endswith((_CONFIG, _INDEX))}
    return {*checkpoint.headers, *checkpoint.side_files, *told}
