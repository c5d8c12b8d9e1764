"""The cores that torch computes on: sums come out the same on as many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import cpu_count

from mergegraph import MergeGraphError


def check_threads(count: int) -> None:
    """Raise MergeGraphError where there are fewer cores: libraries end the process, or crawl."""
    there = cpu_count() or 1
    if count > there:
        raise MergeGraphError(f"threads {count}: there are {there} cores here; write no more")


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    """Have torch compute on so many cores meanwhile."""
    import torch

    # a thread that has asked has a number of its own; one that has not takes what others set later
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
