"""Ops on quantised tensors: scales for blocks of entries, applied and found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

LARGEST = {"float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}
_SMALLEST = 2.0**-126  # scales below it would lose bits
_BIAS = 127  # of exponents that are stored in place of scales


@op(small=True)
def _whole(tensor: Any) -> Any:
    return tensor.clone()


def as_small(tensor: Task) -> Task:
    """A tensor that arrives whole beside strips of others, as scales do; it is held in memory."""
    return tensor if tensor.is_small else _whole(tensor)


@dataclass(frozen=True)
class Blocks:
    """Matrices of `rows` and `columns`, one after the other, in blocks that have a scale each."""

    rows: int
    columns: int
    block_rows: int
    block_columns: int

    @property
    def down(self) -> int:
        """Blocks below each other in a matrix."""
        return -(-self.rows // self.block_rows)

    @property
    def across(self) -> int:
        """Blocks beside each other."""
        return -(-self.columns // self.block_columns)

    def count(self, numel: int) -> int:
        """The number of blocks of so many entries."""
        matrices = numel // max(1, self.rows * self.columns)
        return matrices * self.down * self.across

    def runs(self, start: int, stop: int) -> Iterator[Run]:
        """The entries from start to stop: parts of a row, or rows that can be dealt with at once.

        That is so if they share their blocks, or have their own each.
        """
        while start < stop:
            row, column = divmod(start, self.columns)
            matrix, inside = divmod(row, self.rows)
            width = min(self.columns - column, stop - start)
            count = 1
            if width == self.columns:
                end = inside - inside % self.block_rows + self.block_rows
                most = min(end, self.rows) - inside if self.block_rows > 1 else stop
                count = min(most, (stop - start) // self.columns)
            at = matrix * self.down + inside // self.block_rows
            yield Run(self, start, column, count, width, at)
            start += count * width


@dataclass(frozen=True)
class Run:
    """Some rows, or a part of one: from entry `start` on, at row `at` of the blocks."""

    blocks: Blocks
    start: int
    column: int
    count: int
    width: int
    at: int

    @property
    def stop(self) -> int:
        """The entry after the last."""
        return self.start + self.count * self.width

    @property
    def skipped(self) -> int:
        """Entries of its first block that are before it."""
        return self.column % self.blocks.block_columns

    @property
    def columns(self) -> slice:
        """The blocks it is in, counted across."""
        first = self.column // self.blocks.block_columns
        return slice(first, -(-(self.column + self.width) // self.blocks.block_columns))

    def change(self, part: Any, scales: Any, how: Callable[[Any, Any], Any]) -> None:
        """Change entries in place by the numbers of their blocks."""
        size = self.blocks.block_columns
        rows = self.count if self.blocks.block_rows == 1 else 1
        own = _factors(scales[self.at : self.at + rows, self.columns])
        part = part.view(self.count, self.width)
        if own.shape[1] == 1:
            how(part, own)
        elif self.skipped == 0 and self.width % size == 0:
            how(part.view(self.count, -1, size), own.unsqueeze(-1))
        else:
            spread = own.repeat_interleave(size, 1)
            how(part, spread[:, self.skipped : self.skipped + self.width])

    def note_maxima(self, magnitudes: Any, maxima: Any) -> None:
        """Raise the maxima of its blocks to those of the entries."""
        import torch

        size = self.blocks.block_columns
        rest = -(self.skipped + self.width) % size
        part = magnitudes.view(self.count, self.width)
        if self.skipped or rest:
            part = torch.nn.functional.pad(part, (self.skipped, rest))
        found = part.view(self.count, -1, size).amax(2)
        rows = self.count if self.blocks.block_rows == 1 else 1
        known = maxima[self.at : self.at + rows, self.columns]
        torch.maximum(known, found if rows == self.count else found.amax(0), out=known)


def _each(strip: Any, start: int, blocks: Blocks) -> Iterator[tuple[Run, Any]]:
    """The runs of a strip with their entries."""
    for run in blocks.runs(start, start + len(strip)):
        yield run, strip[run.start - start : run.stop - start]


# -- from numbers to weights -----------------------------------------------------------------------


@op(cut="pointwise", copies=4, infer=lambda codes, *_small, **_: codes.with_dtype("float32"))
def _dequantise(
    codes: Any, *small: Any, table: tuple[float, ...], blocks: tuple[int, ...], start: int
) -> Any:
    weights = _numbers(codes, table)
    cut = Blocks(*blocks)
    scales, *zeros = (each.reshape(-1, cut.across) for each in small)
    for run, part in _each(weights, start, cut):
        for each in zeros:
            run.change(part, each, _subtract)
        run.change(part, scales, _multiply)
    return weights


def dequantise(
    codes: Task,
    scales: Task,
    zeros: Task | None = None,
    *,
    block: Sequence[int | None],
    matrix: Sequence[int] | None = None,
    table: Sequence[float] = (),
) -> Task:
    """The weights, in float32, that codes stand for: (number − zero)·scale.

    There is a scale, and a zero if these are given, for each block of so many rows and columns of
    the matrices that a tensor ends in, all of them if it is None; `matrix` says their size if the
    shape does not. A code is the number it is, or stands for a number of the table. Scales in uint8
    are exponents: s is 2^(s − 127).
    """
    cut = blocks_of(codes.spec, block, matrix)
    for each in (scales, *([zeros] if zeros else [])):
        if each.spec.numel != cut.count(codes.spec.numel):
            shape = (codes.spec.numel // max(1, cut.rows * cut.columns), cut.down, cut.across)
            told = f"{each.spec} where blocks of {cut.block_rows}×{cut.block_columns} need {shape}"
            raise MergeGraphError(f"the scales do not fit {codes.spec}: {told}")
    small = [as_small(each) for each in ((scales, zeros) if zeros else (scales,))]
    return _dequantise(codes, *small, table=tuple(table), blocks=_as_numbers(cut))


def blocks_of(
    spec: Spec, block: Sequence[int | None], matrix: Sequence[int] | None = None
) -> Blocks:
    """How a tensor is cut into blocks."""
    rows, columns = matrix or (1, 1, *spec.shape)[-2:]
    down, across = block
    return Blocks(rows, columns, down or max(1, rows), across or max(1, columns))


def _as_numbers(blocks: Blocks) -> tuple[int, ...]:
    return (blocks.rows, blocks.columns, blocks.block_rows, blocks.block_columns)


def _numbers(codes: Any, table: tuple[float, ...]) -> Any:
    """The numbers that codes stand for, in a tensor of their own."""
    import torch

    if table:
        return torch.tensor(table, dtype=torch.float32, device=codes.device).index_select(
            0, codes.int()
        )
    if codes.is_floating_point() and codes.itemsize == 1:  # a table is faster than torch's cast
        every = torch.arange(256, dtype=torch.uint8, device=codes.device)
        values = every.view(codes.dtype).float()
        return values.index_select(0, codes.view(torch.uint8).int())
    return codes.to(torch.float32, copy=True)


def _factors(scales: Any) -> Any:
    """Scales in float32."""
    import torch

    if scales.dtype == torch.uint8:
        return torch.ones(scales.shape, device=scales.device).ldexp_(scales.int() - _BIAS)
    return scales.float()


def _multiply(part: Any, scales: Any) -> Any:
    return part.mul_(scales)


def _subtract(part: Any, zeros: Any) -> Any:
    return part.sub_(zeros)


def _divide(part: Any, scales: Any) -> Any:
    return part.div_(scales)


# -- from weights to numbers -----------------------------------------------------------------------


def _maximum(first: Any, second: Any) -> Any:
    return first.maximum(second)


def _maxima(_weights: Spec, *, grid: tuple[int, ...], **_: Any) -> Spec:
    return Spec(grid, "float32")


@op(cut="fold", copies=3, combine=_maximum, infer=_maxima)
def _block_maxima(
    weights: Any, *, blocks: tuple[int, ...], grid: tuple[int, ...], start: int
) -> Any:
    import torch

    cut = Blocks(*blocks)
    maxima = torch.zeros(prod(grid[:-1]), grid[-1], device=weights.device)
    magnitudes = weights.abs().nan_to_num_(0.0, 0.0)
    for run, part in _each(magnitudes, start, cut):
        run.note_maxima(part, maxima)
    return maxima.reshape(grid)


@op(infer=lambda maxima, **_: maxima)
def _scales(maxima: Any, *, largest: float) -> Any:
    return (maxima / largest).clamp_(min=_SMALLEST).masked_fill_(maxima == 0, 1.0)


def scales_for(weights: Task, *, block: Sequence[int | None], dtype: str) -> Task:
    """For each block of a tensor the scale by which its largest entry is the largest of `dtype`.

    Blocks of zeros have the scale 1.
    """
    cut = blocks_of(weights.spec, block)
    grid = (*weights.spec.shape[:-2], cut.down, cut.across)
    maxima = _block_maxima(weights, blocks=_as_numbers(cut), grid=grid)
    return _scales(maxima, largest=LARGEST[dtype])


def _rounded(weights: Spec, _scales: Spec, *, dtype: str, **_: Any) -> Spec:
    return weights.with_dtype(dtype)


@op(cut="pointwise", copies=3, infer=_rounded)
def _quantise(weights: Any, scales: Any, *, dtype: str, blocks: tuple[int, ...], start: int) -> Any:
    import torch

    cut = Blocks(*blocks)
    codes = weights.clone()
    for run, part in _each(codes, start, cut):
        run.change(part, scales.view(-1, cut.across), _divide)
    codes.masked_fill_(codes.isinf(), float("nan")).clamp_(-LARGEST[dtype], LARGEST[dtype])
    return codes.to(getattr(torch, dtype))


def is_quantised(task: Task) -> bool:
    """Whether a task makes codes or scales."""
    return task.op in (_quantise, _scales)


def is_dequantised(task: Task) -> bool:
    """Whether a task puts together what was quantised: codes and scales are its inputs."""
    return task.op is _dequantise and task.inputs[0].op is _quantise


def quantise(weights: Task, scales: Task, *, block: Sequence[int | None], dtype: str) -> Task:
    """Every entry divided by its block's scale and rounded to `dtype`, to nearest even.

    What is infinite becomes NaN, as such dtypes have no infinity.
    """
    blocks = _as_numbers(blocks_of(weights.spec, block))
    return _quantise(weights, scales, dtype=dtype, blocks=blocks)
