"""The cores that torch computes on: sums come out the same on as many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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
