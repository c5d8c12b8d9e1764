"""The store: values alive between passes; the schedule has counted their bytes."""

from __future__ import annotations

from typing import Any

from mergegraph.tasks import Task


class Store:
    """Tensors by the key of their task. Not locked: each value has one writer at a time."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def put(self, task: Task, value: Any) -> None:
        """Keep a value."""
        self._values[task.key] = value

    def make_room(self, task: Task) -> None:
        """Keep an empty tensor, to be filled strip by strip."""
        import torch

        dtype = getattr(torch, task.spec.dtype)
        self._values[task.key] = torch.empty(task.spec.numel, dtype=dtype)

    def fill(self, task: Task, start: int, strip: Any) -> None:
        """Fill in one strip of a tensor that there is room for."""
        self._values[task.key][start : start + strip.numel()] = strip

    def free(self, key: str) -> None:
        """Let a value go."""
        self._values.pop(key, None)
