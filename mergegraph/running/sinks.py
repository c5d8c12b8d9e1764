"""Sinks in memory: where outputs go that are not written to files."""

from __future__ import annotations

from typing import Any

from mergegraph.spec import Spec


class TensorSink:
    """The sink of an output that stays in memory: in a tensor that is given, or its own."""

    def __init__(self, spec: Spec, tensor: Any = None) -> None:
        import torch

        own = (
            torch.empty(spec.shape, dtype=getattr(torch, spec.dtype)) if tensor is None else tensor
        )
        self.tensor = own
        self._flat = self.tensor.view(-1)

    def write(self, start: int, strip: Any) -> None:
        """Put a strip at its place."""
        self._flat[start : start + strip.numel()] = strip

    def finish(self, digest: str) -> None:
        """Nothing is left to do."""
