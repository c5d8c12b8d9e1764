"""Status: what there is of results in a directory, whole or unfinished."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.files.header import read_header
from mergegraph.machine import sized
from mergegraph.provenance.manifest import MANIFEST, Manifest, read_manifest
from mergegraph.writing.found import partial_path
from mergegraph.writing.journal import JOURNAL, Run, is_at_work, read_journal

_PARTIAL = ".partial"


@dataclass(frozen=True)
class Status:
    """What there is of one result: so many tensors and bytes of it are finished.

    `damage` says what a whole one lacks, `run` is the last one that was at unfinished work.
    """

    path: Path
    is_whole: bool
    finished: int
    tensors: int
    finished_nbytes: int
    nbytes: int
    recipe: str = ""
    damage: str = ""
    run: Run | None = None
    is_at_work: bool = False

    @property
    def text(self) -> str:
        """The same for people."""
        if self.damage:
            return f"{self.path}: damaged: {self.damage}"
        if self.is_whole:
            told = (
                f"whole, {self.tensors} tensors, {sized(self.nbytes)}, of the recipe {self.recipe}"
            )
            return f"{self.path}: {told}; mergegraph verify reads it all"
        return "\n  ".join([f"{self.path}: unfinished, {self._counted}", *self._work])

    @property
    def _counted(self) -> str:
        nbytes = f"{sized(self.finished_nbytes)} of {sized(self.nbytes)}"
        return f"{self.finished} of {self.tensors} tensors are finished ({nbytes})"

    @property
    def _work(self) -> Iterable[str]:
        if self.run is None:
            return
        if self.is_at_work:
            yield f"process {self.run.process} on {self.run.host} is at work since {self.run.began}"
            return
        yield f"nobody is at work on it; the last run began at {self.run.began}"
        command = shlex.join(self.run.command) if self.run.command else "run its recipe again"
        elsewhere = self.run.folder not in ("", str(Path.cwd()))
        place = f", in {self.run.folder}" if elsewhere and self.run.command else ""
        yield f"to continue{place}: {command}"

    @property
    def data(self) -> Mapping[str, object]:
        """The same for programs."""
        return {
            "path": str(self.path),
            "state": "damaged" if self.damage else "whole" if self.is_whole else "unfinished",
            "tensors": self.tensors,
            "finished": self.finished,
            "nbytes": self.nbytes,
            "finished_nbytes": self.finished_nbytes,
            "recipe": self.recipe,
            "damage": self.damage,
            "is_at_work": self.is_at_work,
            "command": list(self.run.command) if self.run else [],
            "folder": self.run.folder if self.run else "",
        }


def statuses(path: Path) -> list[Status]:
    """What there is at a path, or else in the directories in it.

    Raises MergeGraphError if there is no result, whole or not, or one cannot be read.
    """
    if path.name.endswith(_PARTIAL):
        path = path.with_name(path.name.removesuffix(_PARTIAL))
    found = _at(path)
    if not found and path.is_dir():
        names = {each.name.removesuffix(_PARTIAL) for each in path.iterdir() if each.is_dir()}
        found = [status for name in sorted(names - {""}) for status in _told(path / name)]
    if not found:
        raise MergeGraphError(f"{path}: holds no result of mergegraph, nor an unfinished one")
    return found


def statuses_json(found: Iterable[Status]) -> str:
    """What there is, for programs."""
    return json.dumps([each.data for each in found], indent=2)


def _told(path: Path) -> list[Status]:
    """What there is at a path; one that cannot be read hides none of the others."""
    try:
        return _at(path)
    except MergeGraphError as error:
        fact = str(error).removeprefix(f"{path}: ")
        return [
            Status(
                path,
                is_whole=False,
                finished=0,
                tensors=0,
                finished_nbytes=0,
                nbytes=0,
                damage=fact,
            )
        ]


def _at(path: Path) -> list[Status]:
    """A whole result, unfinished work for it, or both."""
    found = []
    manifest = read_manifest(path) if (path / MANIFEST).is_file() else None
    if manifest is not None:
        found.append(_whole(path, manifest))
    if (partial_path(path) / JOURNAL).is_file():
        found.append(_unfinished(path))
    return found


def _whole(path: Path, manifest: Manifest) -> Status:
    wrong = [name for name, n in manifest.files.items() if _size(path / name) != n]
    damage = f"{wrong[0]} is missing or cut; make it anew with --restart" if wrong else ""
    nbytes = sum(manifest.files.values())
    count = len(manifest.tensors)
    return Status(
        path=path,
        is_whole=True,
        finished=count,
        tensors=count,
        finished_nbytes=nbytes,
        nbytes=nbytes,
        recipe=manifest.made.recipe,
        damage=damage,
    )


def _unfinished(path: Path) -> Status:
    partial = partial_path(path)
    work = read_journal(partial)
    sizes = _sizes(partial)
    done = {name: sizes[name] for name in work.finished if name in sizes}
    damage = "its journal is damaged, so a run begins anew" if work.is_damaged else ""
    if lost := [name for name in work.finished if name not in sizes]:
        damage = f"{lost[0]} was finished, and its file is missing; a run begins anew"
    return Status(
        path=path,
        is_whole=False,
        finished=len(done),
        tensors=len(sizes),
        finished_nbytes=sum(done.values()),
        nbytes=sum(sizes.values()),
        damage=damage,
        run=work.runs[-1] if work.runs else None,
        is_at_work=is_at_work(partial),
    )


def _sizes(partial: Path) -> dict[str, int]:
    """The bytes of each tensor, by its name in the result: headers are written before all else."""
    found = {}
    for file in sorted(partial.rglob("*.safetensors")):
        folder = file.relative_to(partial).parent.as_posix()
        prefix = "" if folder == "." else f"{folder}/"
        for name, entry in read_header(file).entries.items():
            found[prefix + name] = entry.spec.nbytes
    return found


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1
