"""State dicts: the tensors of models in memory, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.reading import MemoryEntry
from mergegraph.models.model import Model, SideFiles
from mergegraph.ops.arithmetic import load
from mergegraph.spec import Spec

State = Mapping[str, Any]

_WRAPPERS = ("module.", "_orig_mod.")  # of DistributedDataParallel, and of torch.compile
_FEW = 3  # names that are told; of more, their number


def state_of(name: str, given: Any) -> dict[str, Any]:
    """The tensors of a module or of a state dict themselves, not copies.

    Raises MergeGraphError if it is neither, or if one of them has no entries to be read.
    """
    found = given.state_dict() if hasattr(given, "state_dict") else given
    if not isinstance(found, Mapping):
        raise MergeGraphError(f"merge: {name} is neither a state dict nor a module")
    state = {}
    for each, value in found.items():
        if hasattr(value, "full_tensor"):
            fact = "is one shard of a tensor; gather it with full_tensor()"
            raise MergeGraphError(f"merge: {each} of {name} {fact}")
        if not _has_entries(value):
            raise MergeGraphError(f"merge: {each} of {name} is not a tensor with entries")
        state[each] = value.detach()
    return state


def check_wrappers(states: Mapping[str, State]) -> None:
    """Refuse models that only some of are wrapped: their names could not meet."""
    wrapped = {name: _wrapper(state) for name, state in states.items() if state}
    if len(set(wrapped.values())) < 2:  # noqa: PLR2004 - they are alike
        return
    name, prefix = next((name, prefix) for name, prefix in wrapped.items() if prefix)
    other = next(name for name, found in wrapped.items() if found != prefix)
    fact = f"the names of {name} start with '{prefix}', those of {other} do not"
    raise MergeGraphError(f"merge: {fact}; give {name}.{prefix[:-1]}, or names without it")


def tied_names(states: Iterable[State]) -> dict[str, str]:
    """Names that stand for the tensor of another one in every model that has them."""
    first, *others = states
    known: dict[Any, str] = {}
    tied = {}
    for name, tensor in first.items():
        leader = known.setdefault(place_of(tensor), name)
        if leader != name and all(are_one(state, leader, name) for state in others):
            tied[name] = leader
    return tied


def are_one(state: State, leader: str, name: str) -> bool:
    """Whether a name stands for the tensor of another one; it may be left out."""
    if name not in state:
        return True
    return leader in state and place_of(state[leader]) == place_of(state[name])


def model_of(name: str, state: State, tied: Mapping[str, str]) -> Model:
    """A state dict as a model whose loads read from memory; of tied tensors only the first is."""
    tensors = {}
    for each, tensor in state.items():
        if each not in tied:
            entry = MemoryEntry(tensor, Spec.of(tensor), f"memory:{name}:{each}")
            tensors[each] = load(entry=entry)
    stored = {each: task.spec.dtype for each, task in tensors.items()}
    return Model(name, tensors, stored, {}, SideFiles(), (), is_input=True)


def settle(states: Iterable[State]) -> None:
    """Wait for accelerators to be done with what they were told to do to some tensors."""
    import torch

    devices = {tensor.device for state in states for tensor in state.values()}
    for device in sorted(devices, key=str):
        if device.type != "cpu":
            torch.accelerator.synchronize(device)


def place_of(tensor: Any) -> Any:
    """Where in memory a tensor's entries are; of one without any, nowhere but itself."""
    if not tensor.numel():
        return id(tensor)
    return tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def few(names: Iterable[str]) -> str:
    """Some names, in words."""
    told = list(names)
    more = f" and {len(told) - _FEW} more" if len(told) > _FEW else ""
    return ", ".join(told[:_FEW]) + more


def _has_entries(value: Any) -> bool:
    import torch
    from torch.nn.parameter import is_lazy

    if not isinstance(value, torch.Tensor) or is_lazy(value):
        return False
    return value.layout == torch.strided and not value.is_meta


def _wrapper(state: State) -> str:
    """What a wrapper has put before all names."""
    for prefix in _WRAPPERS:
        if all(name.startswith(prefix) for name in state):
            return prefix
    return ""
