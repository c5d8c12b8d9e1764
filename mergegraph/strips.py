"""Strips: the pieces in which tensors are read, computed and written.

Where a strip ends depends on the tensor's shape alone, so that what is rounded at its end does not
depend on threads, budgets or anything else.
"""

from __future__ import annotations

from dataclasses import dataclass

STRIP = 128 * 1024  # entries: larger strips leave the cache, smaller ones pay for the interpreter


@dataclass(frozen=True)
class Grid:
    """The strips of a tensor with `numel` entries in rows of `row`."""

    numel: int
    row: int
    by_rows: bool = False

    @property
    def step(self) -> int:
        """Entries of a strip: whole rows, or a part of a row that is longer than a strip."""
        if self.row <= STRIP:
            return max(1, STRIP // max(1, self.row)) * max(1, self.row)
        return self.row if self.by_rows else STRIP

    def strips(self) -> list[tuple[int, int]]:
        """First entry and end of every strip; an empty tensor has one empty strip."""
        if self.numel == 0:
            return [(0, 0)]
        return [
            (start, min(start + self.step, end))
            for first, end in self._runs()
            for start in range(first, end, self.step)
        ]

    def fold_strips(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The strips, as folds see them, of which a strip consists."""
        if not self.by_rows or self.row <= STRIP:
            return [(start, stop)]
        return [(at, min(at + STRIP, stop)) for at in range(start, stop, STRIP)]

    def _runs(self) -> list[tuple[int, int]]:
        """What strips may not cross: the rows, where a row is longer than a strip."""
        if self.row <= STRIP:
            return [(0, self.numel)]
        return [(first, first + self.row) for first in range(0, self.numel, self.row)]
