"""Kinds: where a tensor stands in a model, as rows and columns of a picture have it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mergegraph.names import layer_of

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_SPOKEN = ("self_attn.", "self_attention.", "attention.", "mlp.", "block_sparse_moe.")


@dataclass(frozen=True)
class Spot:
    """The stack of layers, the layer and the kind of a tensor; outside layers it has no layer."""

    stack: str
    layer: int | None
    kind: str


def spot_of(name: str) -> Spot:
    """Where a tensor stands; experts and other numbered parts of a layer are of one kind."""
    layer = layer_of(name)
    if layer is None:
        return Spot("", None, _plain(name.rpartition("/")[2]))
    return Spot(layer.stack, layer.index, _plain(_NUMBER.sub("*", f".{layer.rest}")[1:]))


def kinds_of(spots: Iterable[Spot]) -> list[str]:
    """The kinds in layers, in the order in which they come."""
    return list(dict.fromkeys(each.kind for each in spots if each.layer is not None))


def _plain(name: str) -> str:
    """A name without what all names have."""
    name = name.removesuffix(".weight")
    for spoken in (*_SPOKEN, "model.", "transformer."):
        name = name.removeprefix(spoken)
    return name
