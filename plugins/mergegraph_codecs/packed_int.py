"""Whole numbers of compressed-tensors, packed along the rows (`weight_packed`), with scales."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mergegraph import Codec, Decoded, MergeGraphError, Task, hookimpl
from mergegraph.ops import dequantise, strided, unpack
from mergegraph_codecs.parts.blocks import ROWS, WHOLE, block_of
from mergegraph_codecs.parts.schemes import scheme_of

_WORD = 32
_BITS = (4, 8)
_PACKED = "_packed"
_NOT_DECODED = ("zero_point", "g_idx")


def decode(
    tensors: Mapping[str, Task], config: Mapping[str, Any], read: Callable[[str], bytes]
) -> dict[str, Decoded]:
    """Every packed weight; raises MergeGraphError if its scheme is not symmetric and in order."""
    found = {}
    for packed, task in tensors.items():
        name = packed.removesuffix(_PACKED)
        if packed.endswith(_PACKED) and task.spec.dtype == "int32":
            found[name] = _decoded(name, tensors, _bits(name, config), read)
    return found


def _bits(name: str, config: Mapping[str, Any]) -> int:
    """Of how many bits numbers are: of all groups of layers the same, or it is not clear."""
    scheme = scheme_of(config)
    groups = scheme.get("config_groups") or {}
    found = {(each.get("weights") or {}).get("num_bits") for each in groups.values()}
    bits = next((each for each in _BITS if found == {each}), None)
    if bits is None:
        raise MergeGraphError(f"{name}: numbers of {found or 'unknown'} bits, not of {_BITS}")
    return bits


def _decoded(
    name: str, tensors: Mapping[str, Task], bits: int, read: Callable[[str], bytes]
) -> Decoded:
    for each in _NOT_DECODED:
        if f"{name}_{each}" in tensors:
            raise MergeGraphError(f"{name}_{each}: packed weights that have it are not decoded")
    packed, scales, shape = (f"{name}_{each}" for each in ("packed", "scale", "shape"))
    length = tensors[shape].spec.itemsize
    told = read(shape)
    rows, columns = (
        int.from_bytes(told[at : at + length], "little") for at in range(0, 2 * length, length)
    )
    per_word = _WORD // bits
    across = -(-columns // per_word)
    if tensors[packed].spec.shape != (rows, across) or columns % per_word:
        fact = f"{tensors[packed].spec} does not hold {(rows, columns)} of {bits} bits"
        raise MergeGraphError(f"{name}: {fact}")
    words = strided(tensors[packed], (rows * across, per_word), (1, 0), shape=(rows, columns))
    group = columns // max((tensors[scales].spec.shape or (1,))[-1], 1) or 1
    block = block_of(name, words.spec, tensors[scales].spec, (WHOLE, ROWS, (1, group)))
    half = 1 << bits - 1
    codes = unpack(words, bits=bits)
    weights = dequantise(codes, tensors[scales], block=block, table=range(-half, half))
    return Decoded(weights, (packed, scales, shape))


@hookimpl
def tensor_codecs() -> Iterable[Codec]:
    """Offer it."""
    return [Codec("packed_int", decode)]
