"""Running the programs of a fused pass on a strip: the arrays that the compiled loop works on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mergegraph.instructions import Bound
from mergegraph.running.fusing import Segment
from mergegraph.tasks import Task

_HALVES = 2  # bytes of the units in which inputs and outputs are laid out
_ALIGNED = 32  # of them: a line of the cache

Loop = Callable[..., None]


@dataclass(frozen=True)
class Ties:
    """What a scan found in a strip: ties before it, its own, and their places, for each bound."""

    before: Any
    own: Any
    places: Any


class Desk:
    """Arrays that a worker uses again for every strip: fresh memory costs more than computing."""

    def __init__(self) -> None:
        self._arrays: dict[str, Any] = {}

    def array(self, name: str, size: int, dtype: str) -> Any:
        """An array of at least one entry, its content left from before."""
        import numpy as np

        size = max(1, size)
        if name not in self._arrays or len(self._arrays[name]) < size:
            self._arrays[name] = np.empty(size, dtype)
        return self._arrays[name][:size]


@dataclass
class Room:
    """Strips of several tensors in one array, each from a line of the cache on."""

    halves: Any
    at: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, tasks: Iterable[Task], entries: int, desk: Desk) -> Room:
        """Room for so many entries of each task, on a desk: it is used again for the next strip."""
        at: dict[str, int] = {}
        end = 0
        for task in tasks:
            at[task.key] = end
            end += -(-entries * task.spec.itemsize // _HALVES // _ALIGNED) * _ALIGNED
        return cls(desk.array(name, max(end, _ALIGNED), "uint16"), at)

    def strip(self, task: Task, entries: int) -> Any:
        """The entries of a task, as a flat tensor in this room."""
        import torch

        first = self.at[task.key]
        halves = torch.from_numpy(self.halves[first : first + entries * task.spec.itemsize // 2])
        return halves.view(torch.uint8).view(getattr(torch, task.spec.dtype))

    def places(self, tasks: Sequence[Task]) -> Any:
        """Where the strips of some tasks start."""
        import numpy as np

        return np.array([self.at[task.key] for task in tasks] or [0], np.int64)


@dataclass(frozen=True)
class Made:
    """What a program made of a strip: folds as small tensors, and the rows of its scans."""

    folds: list[tuple[Task, Any]]
    own: list[tuple[Task, Any, Any]]


def run(
    loop: Loop,
    segment: Segment,
    inputs: Room,
    outputs: Room,
    ties: dict[str, Ties],
    strip: tuple[int, int],
    desk: Desk,
) -> Made:
    """Run a program on a strip, from its first entry to its end."""
    import numpy as np

    from mergegraph.loops import BLOCK

    code = segment.code
    start, entries = strip[0], strip[1] - strip[0]
    counts = np.zeros(max(1, segment.counts), np.int64)
    # later programs look at these: each has its own
    places = desk.array(f"places {segment.level}", max(1, segment.rows) * entries, "int32")
    places = places.reshape(max(1, segment.rows), -1)
    found = np.zeros(max(1, segment.rows), np.int64)
    loop(
        *code.arrays,
        np.array([_limits(each, ties, entries) for each in code.bounds] or [(0, 0, 0)], np.int64),
        entries,
        inputs.halves,
        inputs.places(segment.inputs),
        outputs.halves,
        outputs.places(segment.outputs),
        _sides(segment, start, entries, desk),
        counts,
        places,
        found,
        desk.array("registers", max(1, code.registers) * BLOCK, "float32").reshape(-1, BLOCK),
    )
    return _made(segment, counts, places, found)


def _made(segment: Segment, counts: Any, places: Any, found: Any) -> Made:
    import torch

    folds = []
    for task, first in segment.folds:
        value = torch.from_numpy(counts[first : first + task.spec.numel])
        folds.append((task, value.reshape(task.spec.shape)))
    own = []
    for task, first in segment.scans:
        rows = slice(first, first + task.spec.numel)
        own.append((task, torch.from_numpy(found[rows]), places[rows]))
    return Made(folds, own)


def _limits(bound: Bound, ties: dict[str, Ties], entries: int) -> tuple[int, int, int]:
    """The magnitudes that entries before an index must be above, and those from it on."""
    known = ties[bound.scan]
    left = bound.quota - int(known.before[bound.place])
    if left <= 0:
        end = 0
    elif left >= int(known.own[bound.place]):
        end = entries
    else:
        end = int(known.places[bound.place, left - 1]) + 1
    return max(bound.threshold - 1, 0), max(bound.threshold, 0), end


def _sides(segment: Segment, start: int, entries: int, desk: Desk) -> Any:
    sides = segment.code.sides
    made = desk.array("sides", max(1, len(sides)) * entries, "uint8")
    made = made.reshape(max(1, len(sides)), -1)
    for row, side in zip(made, sides, strict=False):
        row[:] = side(start, entries)
    return made
