"""Whether weights are stored inputs first, where shapes alone do not tell."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from mergegraph.config import Config
from mergegraph.names import layer_of
from mergegraph.spec import Spec

_MATRICES = 3  # axes of matrices side by side


def is_turned(name: str, known: Mapping[str, Spec], config: Config, *, usually: bool) -> bool:
    """Whether the rows of a square weight are its inputs, as far as its neighbours tell."""
    if len(known[name].shape) == _MATRICES:
        told = _among_experts(name, known, _hidden_sizes(config))
    else:
        told = _among_neighbours(name, known)
    return usually if told is None else told


def _among_experts(name: str, known: Mapping[str, Spec], hidden: set[int]) -> bool | None:
    """What tensors beside it tell: hidden states go into gates, and come out of what is last."""
    module = name.rpartition(".")[0]
    for other, spec in known.items():
        leaf = other.rpartition(".")[2]
        if other.rpartition(".")[0] == module and len(spec.shape) == _MATRICES:
            sides = [side in hidden for side in spec.shape[1:]]
            if sides[0] != sides[1] and leaf.startswith(("gate", "up", "down")):
                return sides[0] != leaf.startswith("down")
    return None


def _hidden_sizes(config: Config) -> set[int]:
    inner = [each for each in config.values() if isinstance(each, Mapping)]
    sizes = (part.get("hidden_size") for part in chain([config], inner))
    return {size for size in sizes if type(size) is int}


def _among_neighbours(name: str, known: Mapping[str, Spec]) -> bool | None:
    """What matrices of its stack tell that are not square and have a bias."""
    layer = layer_of(name)
    for other, spec in known.items():
        bias = known.get(f"{other.removesuffix('.weight')}.bias")
        own = layer_of(other)
        if layer is None or own is None or own.stack != layer.stack or bias is None:
            continue
        if len(spec.shape) == 2 and spec.shape[0] != spec.shape[1]:  # noqa: PLR2004
            if bias.shape == spec.shape[1:]:
                return True
            if bias.shape == spec.shape[:1]:
                return False
    return None
