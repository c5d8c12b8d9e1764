"""Models as named tasks: of a checkpoint its loads, of a stage its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from mergegraph.codecs import Decoded
from mergegraph.config import (
    Config,
    layer_counts,
    layers_behind,
    stated_dtype,
    without_quantization,
)
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.files.header import Entry
from mergegraph.files.trees import Tree
from mergegraph.names import layer_of, layer_stacks, stands_under
from mergegraph.ops.arithmetic import load, reorder
from mergegraph.tasks import Task

# files that say how the weights beside them are quantised
OF_QUANTISATION = {"hf_quant_config.json", "quantize_config.json", "quant_config.json"}
PLAIN = "bfloat16"  # of decoded weights where the config names no dtype


@dataclass(frozen=True)
class SideFiles:
    """Files to be copied beside the weights, and texts to be written.

    `stems` has what the files of weights are called in each folder, `words` what their headers say.
    """

    tree: Tree | None = None
    names: tuple[str, ...] = ()
    texts: Mapping[str, str] | None = None
    stems: Mapping[str, str] | None = None
    words: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Model:
    """A model's tensors as tasks, and what goes with them.

    `stored` is the dtype each tensor has on disk, or would have; `parents` are the checkpoints it
    was made of. An input is made of files alone: its numbers were never looked at.
    """

    reference: str
    tensors: Mapping[str, Task]
    stored: Mapping[str, str]
    config: Config
    sides: SideFiles
    parents: tuple[Checkpoint, ...]
    is_input: bool = False
    notes: tuple[str, ...] = ()

    @cached_property
    def stacks(self) -> Mapping[str, int]:
        """The number of layers of each stack; those behind, which guess further tokens, aside."""
        stated, behind = layer_counts(self.config), layers_behind(self.config)
        counts = layer_stacks(self.tensors).items()
        return {
            stack: count - behind if count not in stated and count - behind in stated else count
            for stack, count in counts
        }

    @cached_property
    def layers(self) -> Mapping[tuple[str, int], tuple[str, ...]]:
        """What follows the layer number in the names of each layer's tensors."""
        found: dict[tuple[str, int], list[str]] = {}
        for name in self.tensors:
            if layer := layer_of(name):
                found.setdefault((layer.stack, layer.index), []).append(layer.rest)
        return {layer: tuple(rests) for layer, rests in found.items()}

    @cached_property
    def of_first(self) -> Mapping[str, tuple[str, ...]]:
        """What only the first layer of a stack has, for them all, as relative positions are.

        It is there if the others are all alike and the first has what they have, and more.
        """
        return {stack: _of_first(self.layers, stack, count) for stack, count in self.stacks.items()}

    def with_decoded(self, decoded: Mapping[str, Decoded]) -> Model:
        """The model with plain tensors in place of those they were stored as, in their order."""
        spoken_for = {
            used: name for name, each in decoded.items() for used in (*each.uses, *each.leaves)
        }
        names = dict.fromkeys(spoken_for.get(name, name) for name in self.tensors)
        plain = stated_dtype(self.config) or PLAIN
        names_left = tuple(name for name in self.sides.names if name not in OF_QUANTISATION)
        stored = {n: decoded[n].stored or plain if n in decoded else self.stored[n] for n in names}
        return replace(
            self,
            tensors={n: decoded[n].task if n in decoded else self.tensors[n] for n in names},
            stored=stored,
            config=without_quantization(self.config),
            sides=replace(self.sides, names=names_left),
        )

    def with_note(self, note: str | None) -> Model:
        """The model with a further note, if it is one."""
        return replace(self, notes=(*self.notes, note)) if note else self

    def with_names(self, names: Mapping[str, str]) -> Model:
        """The model with other names for some of its tensors."""
        return replace(
            self,
            tensors={names.get(name, name): task for name, task in self.tensors.items()},
            stored={names.get(name, name): dtype for name, dtype in self.stored.items()},
        )

    def main_stack(self, prefix: str | None = None) -> str | None:
        """The stack that layer ranges speak of; None if that is not clear.

        It is the only one below `prefix`, or the only one of the length that the config states;
        of several such, the only one without gaps in its numbers.
        """
        stacks = self.stacks_below(prefix)
        if len(stacks) > 1:
            stated = layer_counts(self.config)
            stacks = [stack for stack in stacks if self.stacks[stack] in stated]
        if len(stacks) > 1:
            stacks = [stack for stack in stacks if self._is_whole(stack)]
        return stacks[0] if len(stacks) == 1 else None

    def stacks_below(self, prefix: str | None) -> list[str]:
        """The stacks that a module speaks of; without a prefix all of them."""
        return [each for each in self.stacks if prefix is None or stands_under(f"{each}.", prefix)]

    def _is_whole(self, stack: str) -> bool:
        """Whether a stack has all layers that its numbers count."""
        return all((stack, index) in self.layers for index in range(self.stacks[stack]))


def _of_first(
    layers: Mapping[tuple[str, int], tuple[str, ...]], stack: str, count: int
) -> tuple[str, ...]:
    first, *others = (frozenset(layers.get((stack, i), ())) for i in range(count))
    if len(set(others)) != 1 or not first > others[0]:
        return ()
    return tuple(rest for rest in layers[stack, 0] if rest not in others[0])


def checkpoint_model(checkpoint: Checkpoint) -> Model:
    """The model of a checkpoint: every tensor a load."""
    return Model(
        reference=checkpoint.reference,
        tensors={name: _loaded(entry) for name, entry in checkpoint.entries.items()},
        stored={name: entry.spec.dtype for name, entry in checkpoint.entries.items()},
        config=checkpoint.config,
        sides=SideFiles(
            checkpoint.tree, checkpoint.side_files, stems=checkpoint.stems, words=checkpoint.words
        ),
        parents=(checkpoint,),
        is_input=True,
    )


def _loaded(entry: Entry) -> Task:
    return reorder(load(entry=entry), axes=entry.axes) if entry.axes else load(entry=entry)
