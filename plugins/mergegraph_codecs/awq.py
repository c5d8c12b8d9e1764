"""AWQ: whole numbers of four bits, packed along the rows of a turned matrix, in an odd order.

The layout is the one called GEMM, which models on the Hub have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mergegraph import Codec, Decoded, MergeGraphError, Task, hookimpl
from mergegraph.ops import as_small, cast, dequantise, strided, unpack
from mergegraph_codecs.parts.schemes import scheme_of

_BITS, _PER_WORD = 4, 8
_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # where in its word each of eight neighbours is


def decode(
    tensors: Mapping[str, Task], config: Mapping[str, Any], _read: Any
) -> dict[str, Decoded]:
    """Every packed weight, the right way round; raises MergeGraphError if the layout is another."""
    scheme = scheme_of(config)
    if scheme.get("quant_method") != "awq":
        return {}
    bits, layout = scheme.get("bits", _BITS), str(scheme.get("version", "gemm")).lower()
    if bits != _BITS or layout != "gemm":
        told = f"AWQ of {bits} bits in the layout {layout}"
        raise MergeGraphError(f"{told} is not decoded, only of {_BITS} bits in the layout gemm")
    stems = [name.removesuffix("qweight") for name in tensors if name.endswith(".qweight")]
    return {f"{stem}weight": _decoded(stem, tensors) for stem in stems}


def _decoded(stem: str, tensors: Mapping[str, Task]) -> Decoded:
    names = [f"{stem}{each}" for each in ("qweight", "scales", "qzeros")]
    packed, scales, zeros = (tensors[each] for each in names)
    groups, outputs = scales.spec.shape
    inputs = packed.spec.shape[0]
    turned = strided(scales, (outputs, groups), (1, outputs), shape=(outputs, groups))
    weights = dequantise(
        _numbers(packed),
        turned,
        cast(_numbers(zeros, is_small=True), "float32"),
        block=(1, inputs // groups),
    )
    return Decoded(weights, tuple(names))


def _numbers(packed: Task, *, is_small: bool = False) -> Task:
    """The numbers of a packed matrix, turned."""
    rows, words = packed.spec.shape
    view = strided(packed, (words, _PER_WORD, rows), (1, 0, words), shape=(words * _PER_WORD, rows))
    return unpack(as_small(view) if is_small else view, bits=_BITS, inner=rows, order=_ORDER)


@hookimpl
def tensor_codecs() -> Iterable[Codec]:
    """Offer it."""
    return [Codec("awq", decode)]
