"""Outputs of several parts: what is put together of others is written part by part.

Experts in one tensor are merged each for itself; their tensor is in the file alone, never in
memory.
"""

from __future__ import annotations

from collections.abc import Iterable

from mergegraph.models.experts import is_together, parts_of
from mergegraph.plans import Output, Part


def in_parts(output: Output) -> list[Output]:
    """The outputs that make up one, each with its place in it; itself where it is none of parts."""
    if not is_together(output.task):
        return [output]
    return [
        Output(output.directory, f"{output.name}[{number}]", task, Part(output, number))
        for number, task in enumerate(parts_of(output.task))
    ]


def wholes(outputs: Iterable[Output]) -> list[Output]:
    """The tensors that outputs are, or are parts of, each once."""
    found = {}
    for each in outputs:
        whole = each.part.whole if each.part else each
        found[whole.directory, whole.name] = whole
    return list(found.values())
