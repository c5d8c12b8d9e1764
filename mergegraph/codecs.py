"""Codecs: how the weights of a quantised model become plain tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mergegraph.config import Config
from mergegraph.tasks import Task


@dataclass(frozen=True)
class Decoded:
    """A plain tensor: the task that makes it, what it is made of, and how it would be stored.

    `uses` has the names of all tensors of the checkpoint that are spoken for by it, be they read
    or not; `leaves` those of which plain weights have no use, as scales of activations. It is
    stored in the dtype that the model's config names, unless another is `stored`.
    """

    task: Task
    uses: tuple[str, ...]
    leaves: tuple[str, ...] = ()
    stored: str | None = None


Read = Callable[[str], bytes]  # the bytes of a tensor that says what others are, at once


@dataclass(frozen=True)
class Codec:
    """A scheme of quantisation, from a plugin.

    `decode(tensors, config, read)` is given the tensors of a checkpoint as they are stored, by
    name, and gives those it knows how to decode, by their plain names; none if the scheme is not
    its own. It raises MergeGraphError if the scheme is its own and cannot be decoded. Shapes are
    known, numbers are not, but for those of a few bytes that it asks to `read`.
    """

    name: str
    decode: Callable[[Mapping[str, Task], Config, Read], Mapping[str, Decoded]]
