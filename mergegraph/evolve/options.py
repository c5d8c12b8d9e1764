"""What may be said of a search on the command line, as it is said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How candidates are examined, what is looked for, and how; None is for what is not said."""

    evaluator: str
    report_evaluator: str | None = None
    maximize: tuple[str, ...] = ()
    minimize: tuple[str, ...] = ()
    sampler: str | None = None
    trials: int | None = None
    seed: int = 0
    population: int | None = None
    points: int | None = None
    same_data: bool = False
