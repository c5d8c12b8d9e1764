"""The config of a result: the donor's, following what became of layers, vocabulary and head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergegraph import config as configs
from mergegraph.errors import MergeGraphError
from mergegraph.layered import said_of_layers, with_layers
from mergegraph.models.model import Model
from mergegraph.names import is_head, is_of_all_layers, layer_of, layer_stacks
from mergegraph.stages.outline import OutlineReader
from mergegraph.tasks import Task

_SHARED = "num_mem_blocks"  # how many blocks are used in turn by all layers


def config_of(
    reader: OutlineReader, tensors: Mapping[str, Task], vocabularies: Mapping[int, int]
) -> configs.Config:
    """The config of a stage's tensors; raises MergeGraphError if none could speak of its layers."""
    donor = reader.donor
    config = donor.config
    if not config:
        return config
    for stack, layers in reader.layers.items():
        _check_kinds(donor, stack, layers)
        sources = [(model.config, at) for model, at in layers]
        config = with_layers(config, stack, donor.stacks.get(stack, 0), sources)
    config = _lengthened(config, reader, tensors)
    for before, rows in vocabularies.items():
        config = configs.with_vocabulary(config, before, rows)
    for head in filter(is_head, tensors):
        if configs.ties_head(configs.config_of(config, head)) or head not in donor.tensors:
            config = configs.in_part(config, head, configs.with_untied_head)
    return config


def _lengthened(
    config: configs.Config, reader: OutlineReader, tensors: Mapping[str, Task]
) -> configs.Config:
    """The config with the lengths of stacks of which no slice speaks, where they are new."""
    donor = reader.donor
    stored = layer_stacks(donor.tensors)
    for stack, count in layer_stacks(tensors).items():
        if stack not in reader.layers and count != stored.get(stack, count):
            before = donor.stacks[stack]
            repeated = [(config, min(i, before - 1)) for i in range(count)]
            config = with_layers(config, stack, before, repeated)
    return config


def _check_kinds(donor: Model, stack: str, layers: Sequence[tuple[Model, int]]) -> None:
    """Raise MergeGraphError if layers move whose kind depends on their place alone."""
    kinds = [_kind(donor, stack, at) for at in range(donor.stacks.get(stack, 0))]
    if [at for _, at in layers] == list(range(len(kinds))):
        return
    _check_bonds(donor)
    after = [_kind(model, stack, at) for model, at in layers]
    if after == kinds[: len(after)]:
        return
    said = said_of_layers(donor.config, stack, len(kinds))
    is_apart = bool(kinds) and kinds[0] not in kinds[1:] and said[0] in said[1:]
    if is_apart and (after[0] != kinds[0] or kinds[0] in after[1:]):
        fact = f"layer 0 of {donor.reference} is unlike the others"
        odd = _odd(kinds, 0, 1, stack)
        raise MergeGraphError(f"{fact}, as in {odd}; it has to come first, and once")
    known: dict[str, int] = {}
    for at, told in list(enumerate(said))[is_apart:]:
        first = known.setdefault(told, at)
        if kinds[at] != kinds[first]:
            fact = f"layers {first} and {at} of {donor.reference} differ"
            unsaid = f"{_odd(kinds, first, at, stack)}, and its config.json does not tell why"
            raise MergeGraphError(f"{fact}, as in {unsaid}; merge whole models")


def _check_bonds(donor: Model) -> None:
    """Raise MergeGraphError if layers have something in common that cannot follow them."""
    if donor.config.get(_SHARED):
        fact = f"config.json has {_SHARED}: layers of {donor.reference} share weights"
        raise MergeGraphError(f"{fact}, and cannot be moved; merge whole models")
    outside = (name for name in donor.tensors if layer_of(name) is None)
    if of_all := next(filter(is_of_all_layers, outside), None):
        fact = f"{of_all} of {donor.reference} has entries for every layer"
        raise MergeGraphError(f"{fact}, which cannot follow them; merge whole models")


def _odd(kinds: Sequence[frozenset[str]], one: int, other: int, stack: str) -> str:
    """A tensor that only one of two layers has."""
    return f"{stack}.N.{min(kinds[one] ^ kinds[other])}"


def _kind(model: Model, stack: str, at: int) -> frozenset[str]:
    """The names of a layer's own tensors."""
    return frozenset(model.layers.get((stack, at), ())) - frozenset(model.of_first.get(stack, ()))
