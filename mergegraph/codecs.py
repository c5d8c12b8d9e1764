"""Codecs: how the weights of a quantised model become plain tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mergegraph.config import Config
from mergegraph.tasks import Task


@dataclass(frozen=True)
class Decoded:
    """A plain tensor: the task that makes it, the dtype it is stored in, what it is made of.

    `uses` has the names of all tensors of the checkpoint that are spoken for by it, be they read
    or not.
    """

    task: Task
    stored: str
    uses: tuple[str, ...]


@dataclass(frozen=True)
class Codec:
    """A scheme of quantisation, from a plugin.

    `decode(tensors, config)` is given the tensors of a checkpoint as they are stored, by name, and
    gives those it knows how to decode, by their plain names; none if the scheme is not its own.
    It raises MergeGraphError if the scheme is its own and cannot be decoded.
    """

    name: str
    decode: Callable[[Mapping[str, Task], Config], Mapping[str, Decoded]]
