"""GPTQ: whole numbers of two, four or eight bits, packed down the columns of a turned matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mergegraph import Codec, Decoded, MergeGraphError, Task, hookimpl, op
from mergegraph.ops import as_small, dequantise, strided, unpack
from mergegraph_codecs.parts.schemes import scheme_of

_WORD = 32
_BITS = (2, 4, 8)


@op(infer=lambda codes, **_: codes.with_dtype("float32"))
def raised(codes: Any, *, by: int) -> Any:
    """Zero points, which the first version of the format stores less one."""
    return codes.float() + by


@op(cut="pointwise", copies=12, infer=lambda codes, *_small, **_: codes.with_dtype("float32"))
def dequantise_by_columns(
    codes: Any, scales: Any, zeros: Any, groups: Any, *, columns: int, start: int
) -> Any:
    """(number − zero)·scale, where every column says which group it belongs to."""
    import torch

    places = torch.arange(start, start + len(codes), device=codes.device)
    at = groups.long()[places % columns] + places // columns * scales.shape[1]
    return (codes.float() - zeros.reshape(-1)[at]) * scales.float().reshape(-1)[at]


def decode(
    tensors: Mapping[str, Task], config: Mapping[str, Any], _read: Any
) -> dict[str, Decoded]:
    """Every packed weight, the right way round; raises MergeGraphError if it is of odd bits."""
    scheme = scheme_of(config)
    if scheme.get("quant_method") != "gptq":
        return {}
    stems = [name.removesuffix("qweight") for name in tensors if name.endswith(".qweight")]
    return {f"{stem}weight": _decoded(stem, scheme, tensors) for stem in stems}


def _decoded(stem: str, scheme: Mapping[str, Any], tensors: Mapping[str, Task]) -> Decoded:
    bits = scheme.get("bits")
    if bits not in _BITS:
        raise MergeGraphError(f"{stem}qweight: GPTQ of {bits} bits is not decoded, only of {_BITS}")
    packed, scales = tensors[f"{stem}qweight"], tensors[f"{stem}scales"]
    per_word = _WORD // bits
    rows, outputs = packed.spec.shape
    inputs, groups = rows * per_word, scales.spec.shape[0]
    words = strided(packed, (outputs, rows, per_word), (1, outputs, 0), shape=(outputs, inputs))
    codes = unpack(words, bits=bits)
    turned = as_small(strided(scales, (outputs, groups), (1, outputs), shape=(outputs, groups)))
    across = outputs // per_word
    packed_zeros = strided(
        tensors[f"{stem}qzeros"],
        (across, per_word, groups),
        (1, 0, across),
        shape=(outputs, groups),
    )
    by = 0 if scheme.get("checkpoint_format") == "gptq_v2" else 1
    zeros = raised(unpack(as_small(packed_zeros), bits=bits, inner=groups), by=by)
    names = [f"{stem}{each}" for each in ("qweight", "scales", "qzeros", "g_idx")]
    uses = tuple(each for each in names if each in tensors)
    if scheme.get("desc_act") and names[-1] in tensors:
        by_columns = as_small(tensors[names[-1]])
        weights = dequantise_by_columns(codes, turned, zeros, by_columns, columns=inputs)
    else:
        weights = dequantise(codes, turned, zeros, block=(1, inputs // groups))
    return Decoded(weights, uses)


@hookimpl
def tensor_codecs() -> Iterable[Codec]:
    """Offer it."""
    return [Codec("gptq", decode)]
