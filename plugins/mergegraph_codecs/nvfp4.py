"""NVFP4: four bits for a weight, a scale in FP8 for every 16 of a row, and one for the tensor.

So store ModelOpt (`weight_scale_2`) and compressed-tensors (`weight_global_scale`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mergegraph import Codec, Decoded, Task, hookimpl, op
from mergegraph.ops import as_small, cast, dequantise, scale_by, strided, unpack
from mergegraph_codecs.parts.activations import activation_scales
from mergegraph_codecs.parts.blocks import block_of
from mergegraph_codecs.parts.tables import FP4

_BLOCK = (1, 16)


@op(infer=lambda scales, _whole: scales)
def divide(scales: Any, whole: Any) -> Any:
    """Scales divided by that of the tensor."""
    return scales / whole.float().reshape(())


def decode(tensors: Mapping[str, Task], _config: Any, _read: Any) -> dict[str, Decoded]:
    """Every weight that has two kinds of scales."""
    found = {}
    for name in tensors:
        stem, _, last = name.rpartition("weight")
        if last == "_scale_2":
            scales = scale_by(_scales(stem, tensors), as_small(tensors[name]))
            found[f"{stem}weight"] = _decoded(stem, "weight", scales, name, tensors)
        elif last == "_global_scale":
            scales = divide(_scales(stem, tensors), as_small(tensors[name]))
            found[f"{stem}weight"] = _decoded(stem, "weight_packed", scales, name, tensors)
    if found:
        first = next(iter(found))
        found[first] = replace(found[first], leaves=activation_scales(tensors))
    return found


def _scales(stem: str, tensors: Mapping[str, Task]) -> Task:
    return cast(as_small(tensors[f"{stem}weight_scale"]), "float32")


def _decoded(
    stem: str, packed: str, scales: Task, whole: str, tensors: Mapping[str, Task]
) -> Decoded:
    """A weight of packed bytes, the lower half of each first."""
    stored = tensors[f"{stem}{packed}"]
    words = twice(stored)
    block = block_of(f"{stem}weight", words.spec, scales.spec, [_BLOCK], f" of {_BLOCK}")
    weights = dequantise(unpack(words, bits=4), scales, block=block, table=FP4)
    return Decoded(weights, (f"{stem}{packed}", f"{stem}weight_scale", whole))


def twice(stored: Task) -> Task:
    """Every byte of a tensor twice, one after the other."""
    *lead, columns = stored.spec.shape
    return strided(stored, (stored.spec.numel, 2), (1, 0), shape=(*lead, 2 * columns))


@hookimpl
def tensor_codecs() -> Iterable[Codec]:
    """Offer it."""
    return [Codec("nvfp4", decode)]
