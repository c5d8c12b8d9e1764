"""Overwriting: which results must wait, as what they take the place of is still to be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mergegraph.scheduling.schedule import Schedule, Unit


def late_ones(schedule: Schedule, targets: Sequence[Any]) -> set[int]:
    """The outputs, by number, whose targets may be read once they are complete.

    So it is where a target shares memory with an input of other outputs. The units that an output
    waits for are done by then, and the passes of its own up to the one that writes it.
    """
    reads, inputs, writers = [], [], {}
    for number, unit in enumerate(schedule.units):
        for at, part in enumerate(unit.passes):
            for task in part.loads:
                reads.append((number, at))
                inputs.append(task.numbers["entry"].tensor)
            for output in (each for on in part.writes.values() for each in on):
                writers[output] = (number, at)
    done = _done_before(schedule.units)
    late = set()
    for output, read in _overlaps(targets, inputs):
        (writer, end), (reader, at) = writers[output], reads[read]
        if at > end if reader == writer else reader >= done[writer]:
            late.add(output)
    return late


def _done_before(units: Sequence[Unit]) -> list[int]:
    """For each unit how many of the first ones are done when it ends, at the least."""
    done: list[int] = []
    for number, unit in enumerate(units):
        known = {*unit.needs, number}
        first = max((done[each] for each in unit.needs), default=0)
        while first in known:
            first += 1
        done.append(first)
    return done


def _overlaps(targets: Sequence[Any], inputs: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Numbers of targets and inputs that share memory, or may."""
    spans = sorted(
        (*_span(tensor), kind, number)
        for kind, tensors in enumerate((targets, inputs))
        for number, tensor in enumerate(tensors)
    )
    active: list[Any] = []
    for span in spans:
        device, start, _, kind, number = span
        active = [each for each in active if each[0] == device and each[2] > start]
        for *_, other_kind, other in active:
            if other_kind != kind:
                yield (other, number) if kind else (number, other)
        active.append(span)


def _span(tensor: Any) -> tuple[str, int, int]:
    """Where a tensor's entries are: the device, their first byte, and the end of the last one."""
    start = tensor.data_ptr()
    if not tensor.numel():
        return str(tensor.device), start, start
    last = sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )
    return str(tensor.device), start, start + (last + 1) * tensor.itemsize
