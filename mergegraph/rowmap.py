"""Row maps: which row of a tensor stands where in another one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate

ABSENT = -1  # the row of zeros that stands where a tensor has none


@dataclass(frozen=True)
class Run:
    """Rows on end: those from `first` on, or zeros."""

    first: int
    count: int


@dataclass(frozen=True)
class RowMap:
    """The rows of a new tensor, as runs of those of another one, which has `of` rows."""

    runs: tuple[Run, ...]
    of: int

    @classmethod
    def of_rows(cls, rows: Iterable[int], of: int) -> RowMap:
        """The map that takes the given rows, one after another."""
        runs: list[Run] = []
        first, count = ABSENT, 0
        for row in rows:
            if count and row == (ABSENT if first == ABSENT else first + count):
                count += 1
                continue
            runs += [Run(first, count)] if count else []
            first, count = row, 1
        runs += [Run(first, count)] if count else []
        return cls(tuple(runs), of)

    def __iter__(self) -> Iterator[int]:
        for run in self.runs:
            first = run.first
            yield from (ABSENT if first == ABSENT else first + i for i in range(run.count))

    def then(self, others: RowMap) -> RowMap:
        """The map that takes rows of what this one makes."""
        own = tuple(self)
        return RowMap.of_rows((ABSENT if row == ABSENT else own[row] for row in others), self.of)

    @cached_property
    def count(self) -> int:
        """The number of new rows."""
        return sum(run.count for run in self.runs)

    @cached_property
    def identity(self) -> str:
        """A digest, equal for equal maps only."""
        text = f"{self.of}:" + ",".join(f"{run.first}+{run.count}" for run in self.runs)
        return f"rows:{blake2b(text.encode(), digest_size=16).hexdigest()}"

    @property
    def is_plain(self) -> bool:
        """Whether it takes rows from the first on as they come, perhaps not all of them."""
        return not self.runs or (len(self.runs) == 1 and self.runs[0].first == 0)

    @property
    def is_empty(self) -> bool:
        """Whether every row is absent."""
        return all(run.first == ABSENT for run in self.runs)

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        return tuple(accumulate(run.count for run in self.runs))

    def parts(self, start: int, stop: int, width: int) -> Iterator[tuple[int, int, int]]:
        """The new entries from start to stop in pieces, rows being `width` entries wide.

        Of each where it starts and ends, counted from `start`, and the entry that it is made from
        on: ABSENT for zeros.
        """
        at = start
        for number in range(bisect_right(self._ends, start // max(1, width)), len(self.runs)):
            if at >= stop:
                return
            run, end = self.runs[number], self._ends[number]
            last = min(stop, end * width)
            inside = at - (end - run.count) * width
            source = ABSENT if run.first == ABSENT else run.first * width + inside
            yield at - start, last - start, source
            at = last

    def __str__(self) -> str:
        return f"{self.count} of {self.of}"
