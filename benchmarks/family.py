"""Families of models: one base and its fine-tunes, seeded, written strip by strip."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from benchmarks.shapes import BFLOAT16_NBYTES, Architecture, Shape

MODELS = ("base", "a", "b", "c")
WEIGHTS = "model.safetensors"

_SPREAD = 0.02  # the standard deviation Llama starts from
_TUNING = 0.001  # how far a fine-tune goes
_STRIP = 2**20
_MARK = "family.json"


def make_family(folder: Path, shape: Architecture, *, seed: int = 0) -> None:
    """Write the models of a family below `folder`, unless they are there; equal seeds, equal bytes.

    The base is normal around 0, and 1 for norms; a fine-tune is the base and a small change.
    """
    told = json.dumps({"shape": asdict(shape), "seed": seed})
    mark = folder / _MARK
    if mark.exists() and mark.read_text(encoding="utf-8") == told:
        return
    mark.unlink(missing_ok=True)
    with ExitStack() as stack:
        files = [stack.enter_context(_opened(folder / name, shape)) for name in MODELS]
        for number, (name, dimensions) in enumerate(shape.tensors().items()):
            for start, count in _strips(prod(dimensions)):
                _write_strip(files, [seed, number, start], count, 1.0 if "norm" in name else 0.0)
    mark.write_text(told, encoding="utf-8")


def make_hollow_family(folder: Path, shape: Architecture) -> None:
    """Write a family of headers alone; of the weights there is a hole, which takes no disk."""
    for name in MODELS:
        with _opened(folder / name, shape) as file:
            file.truncate(file.tell() + shape.nbytes)


def header_of(tensors: Mapping[str, Shape]) -> bytes:
    """The header of a safetensors file of these tensors in bfloat16, in this order."""
    described: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors.items():
        start, end = end, end + BFLOAT16_NBYTES * prod(shape)
        described[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def to_bfloat16(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The bits of finite float32 numbers rounded to bfloat16, to nearest even."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _opened(folder: Path, shape: Architecture) -> BinaryIO:
    """The new file of a model's weights, after its header; config.json beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(shape.config(), indent=2), encoding="utf-8")
    file = (folder / WEIGHTS).open("wb")
    file.write(header_of(shape.tensors()))
    return file


def _strips(numel: int) -> Iterator[tuple[int, int]]:
    for start in range(0, numel, _STRIP):
        yield start, min(_STRIP, numel - start)


def _write_strip(files: Sequence[BinaryIO], key: list[int], count: int, center: float) -> None:
    base = center + _SPREAD * _normal(key, 0, count)
    for number, file in enumerate(files):
        change = _TUNING * _normal(key, number, count) if number else np.float32(0)
        file.write(to_bfloat16(base + change).data)


def _normal(key: list[int], model: int, count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng([*key, model]).standard_normal(count, dtype=np.float32)
