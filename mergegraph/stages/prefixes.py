"""Models whose tensors are called alike but for what stands before: one takes the other's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mergegraph.config import sides_of
from mergegraph.findings import Findings
from mergegraph.models.model import Model
from mergegraph.names import layer_of
from mergegraph.recipe import Stage

_FEWEST = 2  # parts of names that are to be the same at their ends
_OLD = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def aligned(stage: Stage, models: Mapping[str, Model], findings: Findings) -> dict[str, Model]:
    """The models of a stage, those that differ from its donor by prefixes under its names."""
    donor = models[stage.donor]
    known: dict[int, Model] = {id(donor): donor}
    for model in models.values():
        if id(model) not in known:
            known[id(model)] = _renamed(model, donor, findings)
    return {reference: known[id(model)] for reference, model in models.items()}


def _renamed(model: Model, donor: Model, findings: Findings) -> Model:
    names = correspondence(model, donor)
    if not names:
        return model
    one = min(names)
    told = f"{len(names)} tensors of {model.reference} are named otherwise than in"
    findings.note(f"{told} {donor.reference}, and taken for those: {one} for {names[one]}")
    return model.with_names(names)


def correspondence(model: Model, donor: Model) -> dict[str, str]:
    """What tensors of a model are called in another, where they are the same but for a prefix.

    Nothing, unless all layers of one have their match in the other.
    """
    own = {name for name in model.tensors if name not in donor.tensors}
    others = {name for name in donor.tensors if name not in model.tensors}
    pairs: dict[str, str] = {}
    while found := _matches(model, own - pairs.keys(), donor, others - {*pairs.values()}):
        pairs |= found
    layers = {name for name in pairs if layer_of(name)}
    matched = {pairs[name] for name in layers}
    is_whole = layers >= set(filter(layer_of, own)) or matched >= set(filter(layer_of, others))
    if not layers or not is_whole:
        return {}
    moved = {_apart(name, pairs[name]) for name in layers}
    return {k: v for k, v in pairs.items() if _apart(k, v) in moved or "" in _apart(k, v)}


def _matches(model: Model, own: set[str], donor: Model, others: set[str]) -> dict[str, str]:
    """What has only one match: the name whose end is the same for longest."""
    by_end: dict[str, str | None] = {}
    for name in others:
        for end in _ends(name):
            by_end[end] = None if end in by_end else name
    claims: dict[str, list[str]] = {}
    for name in own:
        match = next((by_end[end] for end in _ends(name) if end in by_end), None)
        if match and _could_be_one(model, name, donor, match):
            claims.setdefault(match, []).append(name)
    return {names[0]: match for match, names in claims.items() if len(names) == 1}


def _apart(name: str, other: str) -> tuple[str, str]:
    """What stands before two names, their common end aside."""
    ends = list(zip(_parts(name)[::-1], _parts(other)[::-1], strict=False))
    same = next((i for i, (one, another) in enumerate(ends) if one != another), len(ends))
    return ".".join(_parts(name)[:-same]), ".".join(_parts(other)[:-same])


def _parts(name: str) -> list[str]:
    """The parts of a name, old words put into new ones."""
    for old, new in _OLD.items():
        if name.endswith(old):
            name = name.removesuffix(old) + new
    return name.split(".")


def _ends(name: str) -> Iterator[str]:
    """A name without more and more of its first parts."""
    parts = _parts(name)
    return (".".join(parts[i:]) for i in range(max(1, len(parts) - _FEWEST + 1)))


def _could_be_one(model: Model, name: str, donor: Model, other: str) -> bool:
    """Whether two tensors are of one side and one shape, but for the length of a vocabulary."""
    one, another = (sides_of(before) for before in _apart(name, other))
    shape, wanted = model.tensors[name].spec.shape, donor.tensors[other].spec.shape
    is_shaped = len(shape) == len(wanted) and shape[1:] == wanted[1:]
    return is_shaped and (one <= another or another <= one)
