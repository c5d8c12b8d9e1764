"""MXFP4, as gpt-oss is stored: four bits for a weight, and an exponent for every 32 of a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mergegraph import Codec, Decoded, MergeGraphError, Task, hookimpl
from mergegraph.ops import dequantise, strided, unpack
from mergegraph_codecs.parts.tables import FP4

_BLOCKS, _SCALES = "_blocks", "_scales"
_BYTES = 16  # of a block


def decode(tensors: Mapping[str, Task], _config: Any, _read: Any) -> dict[str, Decoded]:
    """Experts as transformers has them: `[experts, inputs, outputs]`, stored the other way."""
    found = {}
    for blocks in tensors:
        name = blocks.removesuffix(_BLOCKS)
        scales = f"{name}{_SCALES}"
        if blocks.endswith(_BLOCKS) and scales in tensors:
            weights = _decoded(name, tensors[blocks], tensors[scales])
            found[name] = Decoded(weights, (blocks, scales))
    return found


def _decoded(name: str, blocks: Task, scales: Task) -> Task:
    shape = blocks.spec.shape
    if len(shape) != 4 or shape[3] != _BYTES or scales.spec.shape != shape[:3]:  # noqa: PLR2004
        told = f"{blocks.spec} with scales {scales.spec}"
        raise MergeGraphError(f"{name}: not the layout of MXFP4: {told}")
    experts, outputs, groups, _ = shape
    inputs = groups * _BYTES * 2
    row = groups * _BYTES
    words = strided(
        blocks,
        (experts, row, 2, outputs),
        (outputs * row, 1, 0, row),
        shape=(experts, inputs, outputs),
    )
    exponents = strided(
        scales,
        (experts, groups, outputs),
        (outputs * groups, 1, groups),
        shape=(experts, groups, outputs),
    )
    codes = unpack(words, bits=4, inner=outputs)
    return dequantise(codes, exponents, block=(2 * _BYTES, 1), table=FP4)


@hookimpl
def tensor_codecs() -> Iterable[Codec]:
    """Offer it."""
    return [Codec("mxfp4", decode)]
