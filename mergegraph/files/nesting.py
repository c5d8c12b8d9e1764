"""State dicts inside of what was saved: found, and what is beside them told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.names import is_name

_DEEPEST = 4
_FEW = 6


@dataclass(frozen=True)
class State:
    """The tensors that were meant, and notes of what is left out."""

    tensors: Mapping[str, Any]
    notes: tuple[str, ...]


def state_in(label: str, saved: Any) -> State:
    """The only mapping of names to tensors in what was saved.

    Raises MergeGraphError if there is none, or more than one.
    """
    found = dict(_states(saved, (), set()))
    if not found:
        raise MergeGraphError(f"{label}: holds no state dict, tensors by name")
    if len(found) > 1:
        told = " and ".join(sorted(map(_told, found)))
        fact = f"holds several state dicts ({told}), and which is meant is not clear"
        raise MergeGraphError(f"{label}: {fact}; save the one that is meant in a file of its own")
    (path, state), *_ = found.items()
    tensors = {name: value for name, value in state.items() if _is_tensor(value)}
    for name in tensors:
        if not isinstance(name, str) or not is_name(name):
            raise MergeGraphError(f"{label}: {name!r} is not a tensor name")
    notes = [f"{label}: the state dict is its '{_told(path)}'"] if path else []
    others = list(_others(saved, path))
    if again := [name for name, value in others if value is state]:
        notes.append(f"{label}: the same state dict again: {_few(again)}")
    if rest := [name for name, value in others if value is not state]:
        notes.append(f"{label}: not merged, not tensors of the state dict: {_few(rest)}")
    return State(tensors, tuple(notes))


def _states(
    value: Any, path: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every mapping that is for the most part of tensors, by the words that lead to it."""
    if not isinstance(value, Mapping) or len(path) > _DEEPEST or id(value) in seen:
        return
    seen.add(id(value))
    count = sum(map(_is_tensor, value.values()))
    if count and 2 * count >= len(value):
        yield path, value
    for key, inner in value.items():
        if isinstance(key, str):
            yield from _states(inner, (*path, key), seen)


def _others(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """What is beside the mapping that a path leads to, and in it without being a tensor."""
    before: tuple[str, ...] = ()
    for step in path:
        yield from ((_told((*before, str(k))), each) for k, each in value.items() if k != step)
        value, before = value[step], (*before, step)
    inside = ((_told((*before, str(k))), each) for k, each in value.items())
    yield from ((name, each) for name, each in inside if not _is_tensor(each))


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _told(path: tuple[str, ...]) -> str:
    return ".".join(path) or "the whole"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more
