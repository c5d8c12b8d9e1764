"""Whether codecs keep their word: on tensors in memory, as if they were those of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mergegraph.codecs import Codec, Decoded
from mergegraph.tasks import Task
from mergegraph.testing.evaluation import constant, evaluate, strips_of
from mergegraph.testing.kernels import ConformanceError, check_tasks, same_bits

_STRIP = 64  # entries, so that tiny tensors have many strips


def check_codec(
    codec: Codec, tensors: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Decode tensors, check that the codec and its ops keep their word, and give what came of it.

    Raises ConformanceError if it speaks of tensors that there are not, if an op does not do what it
    says, or if the numbers depend on how tensors are cut.
    """
    stored = {name: constant(tensor) for name, tensor in tensors.items()}

    def read(name: str) -> bytes:
        return bytes(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)

    found = codec.decode(stored, config or {}, read)
    for name, each in found.items():
        _check_names(codec, name, each, tensors)
        check_tasks([each.task], set())
    return {name: _value(codec, name, each.task) for name, each in found.items()}


def _check_names(codec: Codec, name: str, made: Decoded, tensors: Mapping[str, Any]) -> None:
    strange = [each for each in (*made.uses, *made.leaves) if each not in tensors]
    if strange or not made.uses:
        fact = f"uses {strange[0]}, which is not there" if strange else "says not what it uses"
        raise ConformanceError(f"{codec.name}: {name} {fact}")


def _value(codec: Codec, name: str, task: Task) -> Any:
    value = evaluate(task)
    with strips_of(_STRIP):
        cut = evaluate(task)
    if not same_bits(value, cut):
        raise ConformanceError(f"{codec.name}: {name} depends on how tensors are cut into strips")
    return value
