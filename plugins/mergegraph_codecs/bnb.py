"""bitsandbytes: four bits for a weight (NF4, FP4; scales may be quantised, too), or eight."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import Any

from mergegraph import Codec, Decoded, MergeGraphError, Task, hookimpl, op
from mergegraph.ops import as_small, dequantise, scale, strided, unpack

_STATE = ".quant_state.bitsandbytes__"
_HIGH_FIRST = (1, 0)
_EIGHT = "SCB"
_LARGEST = 127  # of INT8

# the quantiles of a normal distribution, as QLoRA has them (arXiv:2305.14314)
_NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
_FP4 = (
    *(0.0, 0.0052083334885537624, 0.6666666865348816, 1.0),
    *(0.3333333432674408, 0.5, 0.1666666716337204, 0.25),
    *(0.0, -0.0052083334885537624, -0.6666666865348816, -1.0),
    *(-0.3333333432674408, -0.5, -0.1666666716337204, -0.25),
)
_TABLES = {"nf4": _NF4, "fp4": _FP4}


@op(infer=lambda codes, *_small, **_: codes.with_dtype("float32"))
def largest(codes: Any, table: Any, nested: Any, *, block: int, offset: float) -> Any:
    """The largest magnitude of each block of weights, from codes for it."""
    values = table[codes.reshape(-1).int()]
    spread = nested.repeat_interleave(block)[: len(values)]
    return (values * spread + offset).reshape(codes.shape)


def decode(
    tensors: Mapping[str, Task], _config: Any, read: Callable[[str], bytes]
) -> dict[str, Decoded]:
    """Every weight that has the state of its quantisation, or scales for INT8, beside it."""
    _check_states(tensors)
    found = {}
    for name in tensors:
        weight, state, kind = name.partition(_STATE)
        stem, _, last = name.rpartition(".")
        if state:
            found[weight] = _of_four_bits(weight, kind, name, tensors, read)
        elif last == _EIGHT:
            found[f"{stem}.weight"] = _of_eight_bits(stem, tensors)
    return found


def _of_four_bits(
    name: str, kind: str, state: str, tensors: Mapping[str, Task], read: Callable[[str], bytes]
) -> Decoded:
    told = _state(state, read)
    shape, block = told["shape"], told["blocksize"]
    stored, codes = _found(name, name, tensors), prod(shape)
    if stored.spec.dtype != "uint8" or stored.spec.numel * 2 < codes or kind not in _TABLES:
        raise MergeGraphError(f"{name}: {stored.spec} is not {kind} of the shape {tuple(shape)}")
    bytes_twice = strided(stored, (-(-codes // 2), 2), (1, 0), shape=shape)
    weights = dequantise(
        unpack(bytes_twice, bits=4, order=_HIGH_FIRST),
        _scales(name, told, tensors),
        block=(1, block),
        matrix=(1, codes),
        table=_TABLES[kind],
    )
    return Decoded(weights, (name, *(each for each in tensors if each.startswith(f"{name}."))))


def _state(name: str, read: Callable[[str], bytes]) -> Mapping[str, Any]:
    """What is told of a weight of four bits."""
    try:
        told = json.loads(read(name))
    except ValueError as error:
        raise MergeGraphError(f"{name}: is not the JSON that tells of a weight's blocks") from error
    needs = {"shape", "blocksize"}
    needs |= {"nested_blocksize"} if "nested_offset" in told else set()
    if lacks := ", ".join(sorted(needs - set(told))):
        raise MergeGraphError(f"{name}: does not tell its {lacks}")
    return dict(told)


def _found(name: str, weight: str, tensors: Mapping[str, Task]) -> Task:
    if name not in tensors:
        raise MergeGraphError(f"{weight}: its {name} is missing; is the download complete?")
    return tensors[name]


def _check_states(tensors: Mapping[str, Task]) -> None:
    """No weight of four bits has scales, and nothing that tells of what size it is."""
    told = {name.partition(_STATE)[0] for name in tensors if _STATE in name}
    for name in tensors:
        weight = name.removesuffix(".absmax")
        if weight != name and weight not in told and weight in tensors:
            fact = f"its {weight}{_STATE}nf4 (or fp4) is missing"
            raise MergeGraphError(f"{weight}: {fact}; is the download complete?")


def _scales(name: str, told: Mapping[str, Any], tensors: Mapping[str, Task]) -> Task:
    """The largest magnitudes of blocks, which may be quantised themselves."""
    stored = as_small(_found(f"{name}.absmax", name, tensors))
    if "nested_offset" not in told:
        return stored
    return largest(
        stored,
        as_small(_found(f"{name}.nested_quant_map", name, tensors)),
        as_small(_found(f"{name}.nested_absmax", name, tensors)),
        block=told["nested_blocksize"],
        offset=told["nested_offset"],
    )


def _of_eight_bits(stem: str, tensors: Mapping[str, Task]) -> Decoded:
    weight, scales = f"{stem}.weight", f"{stem}.{_EIGHT}"
    share = scale(as_small(tensors[scales]), factor=1 / _LARGEST)
    weights = dequantise(_found(weight, weight, tensors), share, block=(1, None))
    uses = (weight, scales, f"{stem}.weight_format")
    return Decoded(weights, tuple(each for each in uses if each in tensors))


@hookimpl
def tensor_codecs() -> Iterable[Codec]:
    """Offer it."""
    return [Codec("bitsandbytes", decode)]
