"""Adapters as PEFT reads them: the tensors' names, and adapter_config.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mergegraph.adapters.parts import PREFIX
from mergegraph.adapters.reading import Adapter
from mergegraph.factors import Factors
from mergegraph.ops.products import factor
from mergegraph.spec import Spec
from mergegraph.tasks import Task

_CHOOSING = ("target_modules", "layers_to_transform", "layers_pattern", "exclude_modules")


def tensors_of(
    module: str, factors: Factors, first: Spec, second: Spec, *, is_embedding: bool
) -> Iterator[tuple[str, Task]]:
    """The tensors of a module's factors, laid out as those of the specs given are."""
    rank = factors.rank
    names = ("lora_embedding_A", "lora_embedding_B") if is_embedding else (
        "lora_A.weight", "lora_B.weight")  # fmt: skip
    shapes = ((rank, *first.shape[1:]), (second.shape[0], rank, *second.shape[2:]))
    for name, task, shape in zip(names, (factors.right, factors.left), shapes, strict=True):
        order = tuple(range(len(shape)))
        laid_out = task if task.spec.shape == shape else factor(task, shape=shape, order=order)
        yield f"{PREFIX}{module}.{name}", laid_out


def config_text(adapters: Sequence[Adapter], ranks: Mapping[str, int]) -> str:
    """What PEFT is to be told of an adapter whose modules have these ranks, and a scale of 1."""
    usual = Counter(ranks.values()).most_common(1)[0][0]
    others = {module: rank for module, rank in sorted(ranks.items()) if rank != usual}
    configs = [each.config for each in adapters]
    shared = {key: configs[0][key] for key in ("task_type", "revision")}
    found: dict[str, Any] = {
        "peft_type": "LORA",
        "base_model_name_or_path": configs[0].base,
        "task_type": shared["task_type"],
        "revision": shared["revision"],
        "auto_mapping": None,
        "inference_mode": True,
        "r": usual,
        "lora_alpha": usual,
        "rank_pattern": others,
        "alpha_pattern": others,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": any(bool(config["fan_in_fan_out"]) for config in configs),
        "init_lora_weights": True,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        **_chosen(adapters, ranks),
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _chosen(adapters: Sequence[Adapter], ranks: Mapping[str, int]) -> dict[str, Any]:
    """Which modules are adapted: in the words of the adapters if these agree, else by name."""
    told = [[each.config[key] for key in _CHOOSING] for each in adapters]
    if all(each == told[0] for each in told) and told[0][0]:
        return dict(zip(_CHOOSING, told[0], strict=True))
    return {"target_modules": sorted(ranks)}
