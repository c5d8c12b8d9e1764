"""Factors: tensors that are products of two small ones, as the changes of adapters are."""

from __future__ import annotations

from dataclasses import dataclass

from mergegraph.tasks import Task


@dataclass(frozen=True)
class Factors:
    """A matrix `[out, in]` that is left·right, of `[out, r]` and `[r, in]`; both are small."""

    left: Task
    right: Task

    @property
    def rank(self) -> int:
        """The number of columns of the left, and of rows of the right one."""
        return self.left.spec.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the product."""
        return self.left.spec.shape[0], self.right.spec.shape[1]
