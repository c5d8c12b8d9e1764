"""What a config says of how weights are quantised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KEYS = ("quantization_config", "compression_config", "quantization")


def scheme_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The scheme that a config, or a config inside it, states; empty if there is none."""
    for key in _KEYS:
        if isinstance(found := config.get(key), Mapping) and found:
            return found
    inner = (each for each in config.values() if isinstance(each, Mapping))
    return next((found for each in inner if (found := scheme_of(each))), {})
