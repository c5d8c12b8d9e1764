"""Places: where strips are computed, in main memory or on an accelerator.

Files, the store and what is written are in main memory; a place says how strips come and go.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from mergegraph.files.reading import Reader, Rows


class Place(Protocol):
    """Where the kernels of a worker are called."""

    is_host: bool

    def at_work(self) -> Any:
        """What a worker does its work in, a context."""

    def load(self, reader: Reader, entry: Any, start: int, stop: int, rows: Rows) -> Any:
        """A strip of an input."""

    def take(self, value: Any) -> Any:
        """A tensor of main memory, here."""

    def give(self, value: Any) -> Any:
        """A tensor from here, contiguous in main memory, all its entries there."""


class Host:
    """Main memory."""

    is_host = True

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Without gradients."""
        import torch

        with torch.no_grad():
            yield

    def load(self, reader: Reader, entry: Any, start: int, stop: int, rows: Rows) -> Any:
        """A strip of an input."""
        return reader.read(entry, start, stop, rows=rows)

    def take(self, value: Any) -> Any:
        """It is here."""
        return value

    def give(self, value: Any) -> Any:
        """It is there."""
        return value.contiguous()


class Accelerator:
    """A CUDA device. Every worker has a stream: while one copies, another one computes."""

    is_host = False

    def __init__(self, name: str = "cuda") -> None:
        self._name = name

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """On a stream of its own, without gradients."""
        import torch

        stream: Any = torch.cuda.Stream
        with torch.no_grad(), torch.cuda.stream(stream(self._name)):
            yield

    def load(self, reader: Reader, entry: Any, start: int, stop: int, rows: Rows) -> Any:
        """A strip of an input, by way of pinned memory."""
        return self.take(reader.read(entry, start, stop, rows=rows, is_pinned=True))

    def take(self, value: Any) -> Any:
        """A copy here; from pinned memory, others need not wait for it."""
        return value.to(self._name, non_blocking=True)

    def give(self, value: Any) -> Any:
        """A copy in main memory, waited for."""
        import torch

        copied = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
        copied.copy_(value, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return copied


def place_for(device: str) -> Place:
    """The place that a device's name stands for."""
    return Accelerator(device) if device.startswith("cuda") else Host()


def has_accelerator() -> bool:
    """Whether there is a CUDA device."""
    import torch

    return bool(torch.cuda.is_available())
