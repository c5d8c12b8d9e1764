"""Targets, and whether what was measured meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from benchmarks.process import Usage

OURS = "mergegraph"
THEIRS = "mergekit"
FLOOR = "floor"
THROUGH_DISK = "through disk"

MIB = 2**20

Medians = Mapping[tuple[str, str], Usage]  # by row and program
Quantity = Callable[[Medians], float]


@dataclass(frozen=True)
class Target:
    """A promise about one quantity: at most `limit`, or at least."""

    says: str
    quantity: Quantity
    limit: float
    unit: str = "×"
    at_least: bool = False


@dataclass(frozen=True)
class Judgement:
    """A target of a row beside what was measured; nothing is, where a program did not run."""

    row: str
    target: Target
    measured: float | None

    @property
    def is_missed(self) -> bool:
        """Whether it was measured and does not do."""
        if self.measured is None:
            return False
        if self.target.at_least:
            return self.measured < self.target.limit
        return self.measured > self.target.limit

    @property
    def verdict(self) -> str:
        """One word, or two."""
        if self.measured is None:
            return "not measured"
        return "missed" if self.is_missed else "met"


def judge(row: str, targets: Iterable[Target], medians: Medians) -> list[Judgement]:
    """Hold every target of a row against the medians."""
    return [Judgement(row, each, _measured(each.quantity, medians)) for each in targets]


def floor_row(inputs: int) -> str:
    """The name of the floor that reads so many models and writes one."""
    return f"floor of {inputs}"


def over_floor(row: str, inputs: int, limit: float) -> Target:
    """Wall time of the whole process against reading the inputs and writing the output."""

    def ratio(medians: Medians) -> float:
        return medians[row, OURS].wall / medians[floor_row(inputs), FLOOR].wall

    return Target("wall time ÷ floor", ratio, limit)


def peak_within(row: str, nbytes: int) -> Target:
    """Peak resident memory in bytes."""
    return Target(
        "peak memory", lambda medians: medians[row, OURS].peak / MIB, nbytes / MIB, unit="MiB"
    )


def faster_than_mergekit(row: str, factor: float) -> Target:
    """Wall times of the whole processes."""

    def ratio(medians: Medians) -> float:
        return medians[row, THEIRS].wall / medians[row, OURS].wall

    return Target("times faster than mergekit", ratio, factor, at_least=True)


def smaller_than_mergekit(row: str, share: float) -> Target:
    """Peak resident memories."""

    def ratio(medians: Medians) -> float:
        return medians[row, OURS].peak / medians[row, THEIRS].peak

    return Target("peak memory ÷ mergekit's", ratio, share)


def together(row: str, alone: tuple[str, ...], limit: float) -> Target:
    """Recipes at once against the slowest of them alone, the writing of a further output apart."""

    def ratio(medians: Medians) -> float:
        extra = medians[floor_row(0), FLOOR].wall * (len(alone) - 1)
        slowest = max(medians[each, OURS].wall for each in alone)
        return (medians[row, OURS].wall - extra) / slowest

    return Target("(wall time − extra writing) ÷ slower recipe alone", ratio, limit)


def staged(row: str, limit: float) -> Target:
    """A recipe of several stages against the same stages run one by one."""

    def ratio(medians: Medians) -> float:
        return medians[row, OURS].wall / medians[row, THROUGH_DISK].wall

    return Target("wall time ÷ stages through disk", ratio, limit)


def seconds_within(row: str, limit: float) -> Target:
    """Wall time of the whole process."""
    return Target("wall time", lambda medians: medians[row, OURS].wall, limit, unit="s")


def _measured(quantity: Quantity, medians: Medians) -> float | None:
    try:
        return quantity(medians)
    except KeyError:
        return None
