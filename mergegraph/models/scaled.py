"""Scaled FP8: which tensors of a result are stored so, and what is written of them.

It is the layout of DeepSeek and Qwen: codes in `weight`, scales of blocks in `weight_scale_inv`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path

from mergegraph.config import Config
from mergegraph.errors import Problem
from mergegraph.models.model import Model
from mergegraph.names import layer_of, stands_under
from mergegraph.ops.arithmetic import cast
from mergegraph.ops.quantised import dequantise, is_dequantised, is_quantised, quantise, scales_for
from mergegraph.spec import Spec
from mergegraph.tasks import Task

FLOAT8 = "float8_e4m3fn"  # as recipes ask for it
SCALED = f"scaled {FLOAT8}"  # what such a tensor is stored as
OTHERS = "bfloat16"  # what the others are stored as, unless the recipe says
_BLOCK = (128, 128)
_SCALES = "_scale_inv"
_WEIGHT = ".weight"
# matrices that are no linear layers, or such that choose between experts, or that transformers
# keeps plain whatever a config says
_NO_LINEAR = re.compile(
    r"(?:^|\.)(?:\w*router\w*|\w*gating|gate|\w+_gate|c_attn|c_proj|c_fc|q_attn"
    r"|wo|expert_\d+|qformer|compressor|weights_proj)(?:\.|$)"
    r"|norm|embed|conv|bias"
)
# heads, which are stored nowhere where they are tied to the embedding
_HEADS = ("lm_head", "proj_out", "embed_out", "cls.predictions.decoder")
_EXPERTS = re.compile(r".*?\.experts(?=\.)")


def stored_dtype(name: str, spec: Spec, dtype: str | None) -> str:
    """What a tensor is stored as where the recipe asks for FP8, and for `dtype` otherwise."""
    module = name.removesuffix(_WEIGHT)
    is_linear = module != name and layer_of(name) is not None and not _NO_LINEAR.search(module)
    is_even = len(spec.shape) == len(_BLOCK) and all(
        size and size % of == 0 for size, of in zip(spec.shape, _BLOCK, strict=True)
    )
    return SCALED if is_linear and is_even else dtype or OTHERS


def rounded(task: Task, stored: str) -> Task:
    """A tensor as it is read again after it was stored."""
    if stored != SCALED:
        return cast(task, stored)
    if is_dequantised(task):
        return task
    task = cast(task, "float32")
    scales = scales_for(task, block=_BLOCK, dtype=FLOAT8)
    return dequantise(quantise(task, scales, block=_BLOCK, dtype=FLOAT8), scales, block=_BLOCK)


def written(name: str, task: Task, stored: str) -> Mapping[str, Task]:
    """The tensors that are written of one, by their names."""
    if stored != SCALED:
        return {name: cast(task, stored) if task.spec.is_float else task}
    codes, scales = rounded(task, stored).inputs
    return {name: codes, f"{name}{_SCALES}": scales}


def is_part(task: Task) -> bool:
    """Whether a written tensor is one of codes or of scales."""
    return is_quantised(task)


def problems(place: str, out_dtype: str | None, model: Model) -> list[Problem]:
    """Why a model cannot be stored in FP8, if the recipe asks for it."""
    fact = None
    if SCALED not in model.stored.values():
        fact = "no tensor is a matrix of a layer with sides that are multiples of 128"
    elif not model.config:
        fact = "needs a config.json, which is where its scales are told of, and there is none"
    is_wrong = fact and out_dtype == FLOAT8
    return [Problem(place, f"out_dtype {FLOAT8}: {fact}")] if is_wrong else []


def told(path: Path, model: Model) -> list[str]:
    """How much of a result is scaled, if anything is."""
    count = list(model.stored.values()).count(SCALED)
    rest = len(model.stored) - count
    return [f"{path}: {count} matrices are stored as {SCALED}, {rest} tensors are not"] * (
        count > 0
    )


def with_scaled(config: Config, model: Model) -> Config:
    """The config of a model that has scaled tensors, as transformers reads it."""
    if SCALED not in model.stored.values():
        return config
    adapted = copy.deepcopy(dict(config))
    adapted["quantization_config"] = {
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "weight_block_size": list(_BLOCK),
        "modules_to_not_convert": _left_as_they_are(model),
    }
    return adapted


def _left_as_they_are(model: Model) -> list[str]:
    """The modules whose matrices are not scaled; of experts the module that holds them all."""
    scaled = {_module(name) for name, dtype in model.stored.items() if dtype == SCALED}
    plain = (
        _module(name)
        for name, task in model.tensors.items()
        if model.stored[name] != SCALED and len(task.spec.shape) > 1
    )
    return sorted(
        each for each in {*plain, *_HEADS} if not any(_is_meant(each, other) for other in scaled)
    )


def _is_meant(listed: str, module: str) -> bool:
    """Whether a listed name means a module, as what is below it, or ends in it, is meant, too."""
    return module.endswith(listed) or stands_under(module, listed)


def _module(name: str) -> str:
    found = _EXPERTS.match(name)
    return found[0] if found else name.rpartition(".")[0]
