"""Adapters by their files: the config, the tensors as tasks, and what each is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mergegraph.adapters.config import AdapterConfig, read_config
from mergegraph.adapters.layouts import Layout, Pair, pair_of
from mergegraph.adapters.parts import Factors, Parts, read_parts
from mergegraph.errors import MergeGraphError
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.ops.arithmetic import load
from mergegraph.tasks import Task


@dataclass(frozen=True)
class Adapter:
    """An adapter; a module's change is the product of its factors, times their scale."""

    reference: str
    config: AdapterConfig
    tensors: Mapping[str, Task]
    parts: Parts

    def pair(self, factors: Factors, layout: Layout, parameter: str) -> Pair:
        """The factors of a module as they lie in the weight `parameter`."""
        first, second = self.tensors[factors.first], self.tensors[factors.second]
        rank, scale = (
            self.config.rank(self._called(factors, parameter)),
            self.scale(factors, parameter),
        )
        try:
            return pair_of(first, second, layout, rank=rank, scale=scale)
        except MergeGraphError as error:
            raise MergeGraphError(f"{self.reference}: {parameter}: {error}") from error

    def scale(self, factors: Factors, parameter: str) -> float:
        """What the product of a module's factors for a parameter is multiplied by."""
        return self.config.scale(self._called(factors, parameter))

    def _called(self, factors: Factors, parameter: str) -> str:
        """What patterns in the config are to match: the module, or one of several parameters."""
        return parameter if self.parameters(factors) else factors.module

    def parameters(self, factors: Factors) -> tuple[str, ...]:
        """The tensors of a module, besides its weight, that its factors may be for."""
        given = self.config["target_parameters"] or ()
        leaves = (f"{factors.module}.{each.rpartition('.')[2]}" for each in given)
        return tuple(
            name
            for name, each in zip(leaves, given, strict=True)
            if name == each or name.endswith(f".{each}")
        )


def read_adapter(checkpoint: Checkpoint) -> Adapter:
    """The adapter in a checkpoint; raises MergeGraphError if it cannot be followed."""
    config = read_config(checkpoint.tree)
    tensors = {name: load(entry=entry) for name, entry in checkpoint.entries.items()}
    parts = read_parts(tensors, checkpoint.reference)
    return Adapter(checkpoint.reference, config, tensors, parts)
