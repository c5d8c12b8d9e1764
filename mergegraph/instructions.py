"""Instructions: what an op can say to a small machine that works on blocks of entries in the cache.

The machine has registers, each a block of float32. What can be told to it of a pass is run by one
compiled loop, without a value going to memory and back between two ops. Every instruction rounds as
the plain kernels do, so that the bits are the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum, auto
from functools import cached_property
from typing import Any


class Do(IntEnum):
    """What an instruction does with its operands a, b and c: numbers of registers, mostly."""

    WIDEN = auto()  # a ← input b, bfloat16
    LOAD = auto()  # a ← input b, float32
    NARROW = auto()  # output b, bfloat16 ← a, which is rounded to it already
    STORE = auto()  # output b, float32 ← a
    CLEAR = auto()  # a ← 0
    ROUND = auto()  # a ← b rounded to bfloat16, to nearest even
    SUBTRACT = auto()  # a ← b − c
    ADD = auto()  # a ← b + c
    MULTIPLY = auto()  # a ← b · c
    DIVIDE = auto()  # a ← b / c
    SCALE = auto()  # a ← b · number c
    ADD_SCALED = auto()  # a ← a + b · number c, rounded twice
    DIVIDE_BY = auto()  # a ← b / number c
    RAISE = auto()  # a ← the larger of b and number c
    POSITIVE = auto()  # a ← b where it is not below zero, else 0
    IS_POSITIVE = auto()  # a ← 1 where b is above zero, else 0
    SIGN = auto()  # a ← −1 where b is below zero, else 1
    ABOVE = auto()  # a ← b where its magnitude is above bound c, else 0
    EXCEPT = auto()  # a ← b, but 0 where c is b, by their bits
    CHOOSE = auto()  # a ← b where side c is true, else 0
    COUNT_HIGH = auto()  # high bits of the magnitudes of b counted, from count a on
    COUNT_LOW = auto()  # low bits of those in bucket c counted, from count a on
    COUNT_TIES = auto()  # magnitudes of b equal to number c of `wholes` counted, places in row a
    COUNT_NONFINITE = auto()  # how many of b are no number or infinite, in count a


@dataclass(frozen=True)
class Bound:
    """A threshold of magnitudes with a quota of ties, counted at a place of a scan."""

    threshold: int
    quota: int
    scan: str
    place: int


Side = Callable[[int, int], Any]  # bools for entries: of a start, so many


class Code:
    """A program in the making. Registers and other things are known by their numbers."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int]] = []
        self.numbers: list[float] = []
        self.wholes: list[int] = []
        self.bounds: list[Bound] = []
        self.sides: list[Side] = []
        self.registers = 0
        self._free: list[int] = []

    @cached_property
    def arrays(self) -> tuple[Any, Any, Any]:
        """Rows, numbers and wholes of a program that is made, as its loop wants them."""
        import numpy as np

        return (
            np.array(self.rows, np.int32).reshape(-1, 4),
            np.array(self.numbers or [0], np.float32),
            np.array(self.wholes or [0], np.int64),
        )

    def do(self, what: Do, a: int, b: int = 0, c: int = 0) -> None:
        """Add an instruction; its result must not stand where an operand does."""
        self.rows.append((what, a, b, c))

    def number(self, value: float) -> int:
        """A float32 number to reckon with."""
        self.numbers.append(value)
        return len(self.numbers) - 1

    def whole(self, value: int) -> int:
        """A whole number to compare with."""
        self.wholes.append(value)
        return len(self.wholes) - 1

    def bound(self, threshold: int, quota: int, scan: str, place: int) -> int:
        """A bound of magnitudes; its ties are counted at a place of a scan."""
        self.bounds.append(Bound(threshold, quota, scan, place))
        return len(self.bounds) - 1

    def side(self, made: Side) -> int:
        """An array of bools that is made beside the strip."""
        self.sides.append(made)
        return len(self.sides) - 1

    def register(self) -> int:
        """A register that is free."""
        if self._free:
            return heapq.heappop(self._free)
        self.registers += 1
        return self.registers - 1

    def free(self, register: int) -> None:
        """Let others have a register."""
        heapq.heappush(self._free, register)

    @contextmanager
    def scratch(self, count: int) -> Iterator[list[int]]:
        """Registers for values that only this op sees."""
        taken = [self.register() for _ in range(count)]
        yield taken
        for each in taken:
            self.free(each)

    def weighted_sum(self, out: int, tensors: Sequence[int], weights: Sequence[float]) -> None:
        """Out ← Σ wᵢ·xᵢ."""
        self.do(Do.SCALE, out, tensors[0], self.number(weights[0]))
        for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
            self.do(Do.ADD_SCALED, out, tensor, self.number(weight))
