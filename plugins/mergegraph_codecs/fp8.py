"""FP8 and INT8 with scales: one for a tensor, for each row, or for each block of a matrix.

So store DeepSeek and Qwen (`weight_scale_inv`), compressed-tensors, FBGEMM and ModelOpt
(`weight_scale`), and ComfyUI (`scale_weight`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mergegraph import Codec, Decoded, MergeGraphError, Spec, Task, hookimpl
from mergegraph.ops import dequantise
from mergegraph_codecs.parts.activations import activation_scales
from mergegraph_codecs.parts.blocks import ROWS, WHOLE, Block, block_of
from mergegraph_codecs.parts.schemes import scheme_of

_CODES = ("float8_e4m3fn", "float8_e5m2", "int8")
_WEIGHT = "weight"
# of what methods they are, as configs call them
_OWN = re.compile(r"fp8|int8|compressed.tensors|modelopt|quark")
_USUAL: Block = (128, 128)


def decode(
    tensors: Mapping[str, Task], config: Mapping[str, Any], _read: Any
) -> dict[str, Decoded]:
    """Every weight that has scales, with them; raises MergeGraphError if one lacks them."""
    scheme = scheme_of(config)
    if not _OWN.search(str(scheme.get("quant_method") or "fp8")):
        return {}
    stated = _stated(scheme)
    found = {}
    for name, task in tensors.items():
        if task.spec.dtype in _CODES and (scale := _scale_of(name, tensors)):
            block = _block(name, task.spec, tensors[scale].spec, stated)
            weights = dequantise(task, tensors[scale], block=block)
            found[name] = Decoded(weights, (name, scale))
    if found:
        _check_all_have_scales(found, tensors)
        first = next(iter(found))
        found[first] = replace(found[first], leaves=activation_scales(tensors))
    return found


def _stated(scheme: Mapping[str, Any]) -> Block | None:
    """The size of blocks that a scheme states, if it does."""
    if stated := scheme.get("weight_block_size"):
        return stated[0], stated[1]
    groups = (scheme.get("config_groups") or {}).values()
    told = {tuple((each.get("weights") or {}).get("block_structure") or ()) for each in groups}
    rows, columns = told.pop() if len(told) == 1 and all(told) else (None, None)
    return (rows, columns) if rows and columns else None


def _block(name: str, weight: Spec, scale: Spec, stated: Block | None) -> Block:
    """The size that is stated, or else the usual one; scales of tensors and rows need none."""
    if not stated:
        hint = f" of {_USUAL}, and its config states no weight_block_size"
        return block_of(name, weight, scale, (WHOLE, ROWS, _USUAL), hint)
    sizes = (stated,) if len(scale.shape) > 1 else (WHOLE, stated)
    return block_of(name, weight, scale, sizes, f" of {stated}, as its config states")


def _scale_of(name: str, tensors: Mapping[str, Task]) -> str | None:
    """The name of a weight's scales."""
    return next((each for each in _scale_names(name) if each in tensors), None)


def _scale_names(name: str) -> Iterator[str]:
    yield f"{name}_scale_inv"
    yield f"{name}_scale"
    if name.rpartition(".")[2] == _WEIGHT:
        stem = name.removesuffix(_WEIGHT)
        yield from (f"{stem}scale_weight", f"{stem}qscale_weight", f"{stem}scale")


def _check_all_have_scales(found: Mapping[str, Decoded], tensors: Mapping[str, Task]) -> None:
    """No linear layer beside scaled ones was left as it is stored."""
    for name, task in tensors.items():
        is_matrix = len(task.spec.shape) > 1 and "scale" not in name.rpartition(".")[2]
        if name not in found and task.spec.dtype in _CODES and is_matrix:
            raise MergeGraphError(f"{name}: no scales for it; is the download complete?")


@hookimpl
def tensor_codecs() -> Iterable[Codec]:
    """Offer it."""
    return [Codec("fp8", decode)]
