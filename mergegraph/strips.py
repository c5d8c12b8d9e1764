"""Strips: the pieces in which tensors are read, computed and written.

What is rounded at the end of a strip, as the sums of folds are, must not depend on threads, budgets
or devices: there, tensors are cut as their shape alone says. What is worked on at once may be a
number of such strips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

STRIP = 128 * 1024  # entries: where folds are cut


@dataclass(frozen=True)
class Grid:
    """The strips of a tensor with `numel` entries in rows of `row`, so many `together`."""

    numel: int
    row: int
    by_rows: bool = False
    together: int = 1

    @property
    def step(self) -> int:
        """Entries worked on at once: whole rows, or a part of a row that is longer than that."""
        if self.row <= STRIP:
            return self.together * self._fold_step
        if self.by_rows:
            return max(1, self.together * STRIP // self.row) * self.row
        return min(self.together * STRIP, self.row)

    def strips(self, start: int = 0) -> list[tuple[int, int]]:
        """First entry and end of every strip from `start` on, the end of an earlier strip.

        An empty tensor has one empty strip.
        """
        if self.numel == 0:
            return [(0, 0)]
        return list(self._cut(start, self.numel, self.step))

    def fold_strips(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The strips, as folds see them, of which a strip consists."""
        return list(self._cut(start, stop, self._fold_step)) or [(start, stop)]

    @property
    def _fold_step(self) -> int:
        if self.row <= STRIP:
            return max(1, STRIP // max(1, self.row)) * max(1, self.row)
        return STRIP

    def _cut(self, start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
        """Steps from start to stop; those smaller than a row do not cross the end of one."""
        while start < stop:
            row_end = stop if step >= self.row else start + self.row - start % self.row
            end = min(stop, start + step, row_end)
            yield start, end
            start = end
