"""The journal of an unfinished result: what it belongs to, and what of it is done.

Each of its lines is written after the bytes that it speaks of.
"""

from __future__ import annotations

import os
import platform
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.stamps import Stamp
from mergegraph.lines import Lines, is_taken, read_lines
from mergegraph.machine import boot
from mergegraph.running.milestones import Milestone
from mergegraph.spec import Spec

JOURNAL = "mergegraph.journal"
NO_INPUTS: Mapping[Path, Stamp] = MappingProxyType({})


@dataclass(frozen=True)
class Run:
    """A run that worked on a result: its process, on which machine, what was typed, and where."""

    process: int
    host: str
    boot: str
    began: str
    command: tuple[str, ...] = ()
    folder: str = ""


@dataclass(frozen=True)
class Work:
    """What a journal tells: what the work belongs to, its runs, and what is done.

    `inputs` are files as they were when it was begun, `finished` has the SHA-256 of tensors that
    are whole, `values` and `milestones` are what runs noted on their way, `nbytes` is where the
    next line goes. A journal is damaged if not even its first line can be read.
    """

    bond: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[Path, Stamp] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    milestones: dict[str, Milestone] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    nbytes: int = 0
    is_damaged: bool = False


def read_journal(folder: Path) -> Work:
    """What the journal in a folder tells; nothing, if there is none.

    Raises MergeGraphError if it cannot be read.
    """
    path = folder / JOURNAL
    work = Work(is_damaged=path.is_file() and path.stat().st_size > 0)
    nbytes = 0
    for line, end in read_lines(path):
        try:
            work = _taken(work, line)
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
            break
        nbytes = end
    return replace(work, nbytes=nbytes)


def is_at_work(folder: Path) -> bool:
    """Whether a run has the journal in a folder."""
    return is_taken(folder / JOURNAL)


class Journal:
    """A journal being written. It is locked: one run at a time works on a result."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines = Lines(folder / JOURNAL)

    def open(self) -> None:
        """Open the journal for this run alone; raises MergeGraphError if another has it."""
        if not self._lines.open():
            runs = read_journal(self._folder).runs
            who = f" (process {runs[-1].process} on {runs[-1].host})" if runs else ""
            fact = f"another run is at work on it{who}; wait for that, or choose another --out"
            raise MergeGraphError(f"{self._folder}: {fact}")
        if not self._lines.is_in_place:
            self.close()
            fact = "another run has just finished it; run the command again"
            raise MergeGraphError(f"{self._folder}: {fact}")

    @property
    def is_open(self) -> bool:
        """Whether this run has it."""
        return self._lines.is_open

    def begin(self, bond: Mapping[str, str], inputs: Mapping[Path, Stamp] = NO_INPUTS) -> None:
        """Start from nothing, with inputs as they are now."""
        self._lines.cut(0)
        stamps = {str(path): astuple(stamp) for path, stamp in inputs.items()}
        self.write({"bond": dict(bond), "inputs": stamps})

    def go_on(self, nbytes: int) -> None:
        """Write after the last whole line: the one after it was cut off when a run was killed."""
        self._lines.cut(nbytes)

    def run(self, command: Sequence[str]) -> None:
        """Note that this run is at work."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        run = Run(os.getpid(), platform.node(), boot(), now, tuple(command), str(Path.cwd()))
        self.write({"run": vars(run)})

    def write(self, line: Mapping[str, Any]) -> None:
        """Write one line."""
        self._lines.write(line)

    def close(self) -> None:
        """Close the journal, and let others have it."""
        self._lines.close()


def tensor_line(tensor: str, digest: str) -> dict[str, Any]:
    """The line of a tensor that is whole."""
    return {"tensor": tensor, "sha256": digest}


def lost_line(tensors: Iterable[str]) -> dict[str, Any]:
    """The line of tensors that were whole, and are not any more."""
    return {"lost": sorted(tensors)}


def values_line(values: Mapping[str, Any]) -> dict[str, Any]:
    """The line of small values by task key."""
    return {"values": {key: _told(value) for key, value in values.items()}}


def milestone_line(name: str, milestone: Milestone) -> dict[str, Any]:
    """The line of how far a pass is."""
    state = {key: _told(value) for key, value in milestone.state.items()}
    told = {"entries": milestone.entries, "digests": list(milestone.digests), "state": state}
    return {"pass": name, **told}


def _taken(work: Work, line: Mapping[str, Any]) -> Work:
    """The work with what one more line tells."""
    if "bond" in line:
        return Work(
            bond={str(key): str(value) for key, value in line["bond"].items()},
            inputs={Path(path): _stamp(*told) for path, told in line["inputs"].items()},
        )
    if "run" in line:
        found = line["run"]
        run = Run(**{**found, "command": tuple(map(str, found["command"]))})
        work.runs.append(run)
    elif "tensor" in line:
        work.finished[str(line["tensor"])] = str(line["sha256"])
    elif "lost" in line:
        for name in line["lost"]:
            work.finished.pop(name, None)
    elif "pass" in line:
        state = {str(key): _tensor(*told) for key, told in line["state"].items()}
        digests = tuple(map(str, line["digests"]))
        work.milestones[str(line["pass"])] = Milestone(int(line["entries"]), state, digests)
    else:
        work.values.update({str(key): _tensor(*told) for key, told in line["values"].items()})
    return work


def _stamp(
    number: int, nbytes: int, changed_ns: int, touched_ns: int, others: Sequence[int]
) -> Stamp:
    return Stamp(number, nbytes, changed_ns, touched_ns, tuple(others))


def _told(value: Any) -> list[Any]:
    """A small tensor as text: its dtype, its shape, and its bytes."""
    import torch

    data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return [Spec.of(value).dtype, list(value.shape), b64encode(zlib.compress(data, 1)).decode()]


def _tensor(dtype: str, shape: Sequence[int], text: str) -> Any:
    """The tensor of a text; raises ValueError if it is none."""
    import torch

    spec = Spec(tuple(map(int, shape)), dtype)
    if min(spec.shape, default=0) < 0:
        raise ValueError
    data = zlib.decompressobj().decompress(b64decode(text), max(1, spec.nbytes))
    if len(data) != spec.nbytes:
        raise ValueError
    if not data:
        return torch.empty(spec.shape, dtype=getattr(torch, dtype))
    return torch.frombuffer(bytearray(data), dtype=getattr(torch, dtype)).reshape(spec.shape)
