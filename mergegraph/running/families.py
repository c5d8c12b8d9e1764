"""Looking whether models are of one family: a few of their rows read before a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mergegraph.errors import MergeGraphError
from mergegraph.families import Family, told_of
from mergegraph.ops.folds import gram
from mergegraph.plans import plan_of
from mergegraph.running.fetching import Wanted
from mergegraph.running.reading import in_memory, make_reading, read


def look(
    families: Sequence[Family], *, budget: int, threads: int, wanted: Sequence[Wanted] = ()
) -> tuple[str, ...]:
    """What is to be told of families; their files must be there, or be streamed."""
    outputs = [
        in_memory(sample.name, gram(*sample.tasks))
        for family in families
        for sample in family.samples
    ]
    if not outputs:
        return ()
    try:
        reading = make_reading(plan_of(outputs, ()), budget=budget, threads=threads)
        found = read(replace(reading, wanted=tuple(wanted)))
    except MergeGraphError:  # whatever it is, the run will meet it and tell of it
        return ()
    return tuple(dict.fromkeys(_told(families, [each.tolist() for each in found])))


def _told(families: Sequence[Family], dots: Sequence[list[list[float]]]) -> Iterator[str]:
    left = iter(dots)
    for family in families:
        yield from told_of(family, [next(left) for _ in family.samples])
