"""Whether a folder is a model by itself, for whoever has transformers load it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.jsonfiles import read_json

_CONFIG, _ADAPTER = "config.json", "adapter_config.json"
_KERNELS = "_implementation"  # what keys say that may name a repository of kernels


def check_alone(folder: Path) -> None:
    """Raise MergeGraphError where a model has transformers fetch another, or code of others."""
    if (folder / _ADAPTER).is_file():
        fact = "stands beside the model, and would have another one loaded"
        raise MergeGraphError(f"{folder / _ADAPTER}: {fact}")
    for key, value in _words(read_json(folder / _CONFIG)):
        if _KERNELS in key and "/" in value:
            fact = f"{key} {value!r} is code to be fetched, which is not run"
            raise MergeGraphError(f"{folder / _CONFIG}: {fact}")


def _words(data: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every word of a config, with the key it stands under."""
    if isinstance(data, str):
        yield key, data
    elif isinstance(data, dict):
        for inner, value in data.items():
            yield from _words(value, inner if _KERNELS not in key else key)
    elif isinstance(data, list):
        for value in data:
            yield from _words(value, key)
