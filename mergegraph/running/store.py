"""The store: values alive between passes; the schedule has counted their bytes."""

from __future__ import annotations

from threading import Lock
from typing import Any

from mergegraph.tasks import Task


class Store:
    """Tensors by the key of their task. Values are not locked: each has one writer at a time.

    Room that is free again is used for the next tensor of its size, as the next layer has one: the
    pages of fresh memory cost more than what is computed in them.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._filled: set[str] = set()
        self._spare: dict[int, list[Any]] = {}
        self._lock = Lock()  # of spare room, which all threads take from

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def put(self, task: Task, value: Any) -> None:
        """Keep a value."""
        self._values[task.key] = value

    def restore(self, key: str, value: Any) -> None:
        """Keep a value that an earlier run came to."""
        self._values[key] = value

    def make_room(self, task: Task) -> None:
        """Keep an empty tensor, to be filled strip by strip."""
        import torch

        with self._lock:
            if not self._spare.get(task.spec.nbytes):
                self._spare.clear()  # with what is alive it would be more than was counted
                self._spare[task.spec.nbytes] = [torch.empty(task.spec.nbytes, dtype=torch.uint8)]
            room = self._spare[task.spec.nbytes].pop()
        self._values[task.key] = room.view(getattr(torch, task.spec.dtype))
        self._filled.add(task.key)

    def fill(self, task: Task, start: int, strip: Any) -> None:
        """Fill in one strip of a tensor that there is room for."""
        self._values[task.key][start : start + strip.numel()] = strip

    def trim(self, nbytes: int) -> None:
        """Let spare room go, but for so many bytes."""
        with self._lock:
            spare = sum(size * len(rooms) for size, rooms in self._spare.items())
            for size, rooms in self._spare.items():
                while rooms and spare > nbytes:
                    rooms.pop()
                    spare -= size

    def drop(self, key: str) -> None:
        """Let a value go, and its room with it."""
        self._values.pop(key, None)
        self._filled.discard(key)

    def free(self, key: str) -> None:
        """Let a value go; its room is used again."""
        import torch

        value = self._values.pop(key, None)
        if key in self._filled:
            self._filled.discard(key)
            with self._lock:
                self._spare.setdefault(value.nbytes, []).append(value.view(torch.uint8))
