"""Views: tensors of a file read in another order, or their entries several times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import prod
from typing import Any

from mergegraph.spec import Spec

_SCRATCH = 448 * 1024  # bytes of the file that are in memory at a time, an eighth more at most

Ranges = tuple[tuple[int, int], ...]  # of every axis
Box = tuple[int, Ranges]  # with its first entry


@dataclass(frozen=True)
class View:
    """The entries of a stored tensor at `strides` along axes of `sizes`, as a tensor of `spec`.

    A stride of 0 repeats entries: those of packed words, or of scales.
    """

    stored: Any
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    spec: Spec

    @cached_property
    def identity(self) -> str:
        """What stands for its content in task keys."""
        told = f"{self.stored.identity} {self.sizes} {self.strides} {self.spec}"
        return sha256(told.encode()).hexdigest()[:32]

    @property
    def parts(self) -> tuple[Any, ...]:
        """What is read of it: the tensor as it is stored."""
        parts: tuple[Any, ...] = self.stored.parts
        return parts

    def read(self, start: int, stop: int) -> Any:
        """The entries from start to stop, flat, of a tensor that is in memory already."""
        import torch

        strip = torch.empty(stop - start, dtype=getattr(torch, self.spec.dtype))
        fill_view(strip, self, start, self.stored.read)
        return strip


def view_of(
    entry: Any, sizes: tuple[int, ...], strides: tuple[int, ...], shape: tuple[int, ...]
) -> View:
    """A view of a stored tensor; raises ValueError if it reaches beyond the tensor's entries."""
    spec = Spec(shape, entry.spec.dtype)
    last = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if prod(sizes) != spec.numel or (spec.numel and last >= entry.spec.numel):
        raise ValueError(f"no view of {entry.spec}: sizes {sizes}, strides {strides}, {shape}")
    return View(entry, sizes, strides, spec)


def fill_view(strip: Any, view: View, start: int, read: Callable[[int, int], Any]) -> None:
    """Put entries from `start` on into a flat strip; `read` gives a range of what is stored.

    What several boxes have near to each other is read once for them all.
    """
    most = _SCRATCH // view.spec.itemsize
    own = [prod(view.sizes[axis + 1 :]) for axis in range(len(view.sizes))]
    found = boxes(start, start + len(strip), view.sizes)
    pieces = [piece for _, box in found for piece in _pieces(box, view.strides, most)]
    for first, last, together in _neighbours(pieces, view.strides, most):
        stored = read(first, last)
        for box in together:
            lengths = [stop - begin for begin, stop in box]
            source = stored[_start(box, view.strides) - first :].as_strided(lengths, view.strides)
            strip[_start(box, own) - start :].as_strided(lengths, own).copy_(source)


def boxes(start: int, stop: int, sizes: Sequence[int]) -> Iterator[Box]:
    """The boxes, in order, that the entries from start to stop of a tensor consist of."""
    if start >= stop:
        return
    if len(sizes) <= 1:
        yield start, ((start, stop),) * len(sizes)
        return
    inner = prod(sizes[1:])
    first, last = -(-start // inner), stop // inner
    if first > last:  # within one step of the first axis
        yield from _inside(start, stop, last, sizes)
        return
    yield from _inside(start, first * inner, first - 1, sizes)
    if first < last:
        yield first * inner, ((first, last), *((0, size) for size in sizes[1:]))
    yield from _inside(last * inner, stop, last, sizes)


def _inside(start: int, stop: int, at: int, sizes: Sequence[int]) -> Iterator[Box]:
    offset = at * prod(sizes[1:])
    for first, box in boxes(start - offset, stop - offset, sizes[1:]):
        yield first + offset, ((at, at + 1), *box)


def _pieces(box: Ranges, strides: Sequence[int], most: int) -> Iterator[Ranges]:
    """A box cut, at places that do not depend on it, until each piece spans few stored entries."""
    spans = [
        (stop - begin - 1) * stride for (begin, stop), stride in zip(box, strides, strict=True)
    ]
    if sum(spans) < most or not any(spans):
        yield box
        return
    axis = max(range(len(spans)), key=lambda i: spans[i])
    begin, stop = box[axis]
    step = max(1, min(most // strides[axis], stop - begin - 1))
    at = begin
    while at < stop:
        end = min(stop, at - at % step + step)
        yield from _pieces((*box[:axis], (at, end), *box[axis + 1 :]), strides, most)
        at = end


def _neighbours(
    pieces: Iterable[Ranges], strides: Sequence[int], most: int
) -> Iterator[tuple[int, int, list[Ranges]]]:
    """Pieces that are near to each other, with the range of stored entries that holds them."""
    in_order = sorted((_start(piece, strides), piece) for piece in pieces)
    together: list[Ranges] = []
    first = last = 0
    for at, piece in in_order:
        end = 1 + sum((stop - 1) * stride for (_, stop), stride in zip(piece, strides, strict=True))
        if together and max(last, end) - first > most + most // 8:
            yield first, last, together
            together = []
        first, last = (first, max(last, end)) if together else (at, end)
        together.append(piece)
    if together:
        yield first, last, together


def _start(box: Ranges, strides: Sequence[int]) -> int:
    """The first entry of a box, among those that stand at some strides."""
    return sum(begin * stride for (begin, _), stride in zip(box, strides, strict=True))
