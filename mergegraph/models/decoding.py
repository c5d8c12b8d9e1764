"""Decoding: quantised weights made plain by the codecs that know them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mergegraph.codecs import Codec, Decoded, Read
from mergegraph.config import quantization
from mergegraph.errors import MergeGraphError, told_of
from mergegraph.models.model import Model
from mergegraph.names import is_quantized
from mergegraph.tasks import Task


def decoded(model: Model, codecs: Sequence[Codec], read: Read) -> Model:
    """The model with its quantised tensors made plain; raises MergeGraphError if one is left."""
    plain = model
    for codec in codecs:
        if found := _decoded_by(codec, model, read):
            plain = plain.with_decoded(found)
            plain = plain.with_note(_told(model.reference, codec, found))
    if scheme := quantization(plain.config):
        known = ", ".join(each.name for each in codecs) or "none"
        raise MergeGraphError(
            f"{model.reference}: its weights are quantised ({scheme}), and no codec decodes them "
            f"(installed: {known}); name the model it was made from, or dequantise it first"
        )
    if left := next(filter(is_quantized, plain.tensors), None):
        raise MergeGraphError(
            f"{model.reference}: {left} belongs to quantised weights, and no codec knows what to "
            "do with it; name the model it was made from, or dequantise it first"
        )
    return plain.with_note(_of_lost_scales(plain))


def _of_lost_scales(model: Model) -> str | None:
    """That a model of some architecture has bare FP8, which hardly any is trained in."""
    bare = [name for name, dtype in model.stored.items() if dtype.startswith("float8")]
    if not bare or not model.config:
        return None
    return (
        f"{model.reference}: {len(bare)} tensors such as {bare[0]} are FP8 without scales, and are "
        "taken for plain numbers; if there were scales, they were lost"
    )


def _told(reference: str, codec: Codec, found: Mapping[str, Decoded]) -> str:
    """What was decoded, and what is left out."""
    told = f"{reference}: {len(found)} tensors are dequantised ({codec.name})"
    if left := [name for each in found.values() for name in each.leaves]:
        told += (
            f"; {len(left)} such as {left[0]} are left out, as plain weights have no use for them"
        )
    return told


def _decoded_by(codec: Codec, model: Model, read: Read) -> Mapping[str, Decoded]:
    """What a codec knows of a model; its failures are the user's to know of."""
    try:
        with told_of(f"codec {codec.name}"):
            found = codec.decode(model.tensors, model.config, read)
    except MergeGraphError as error:
        raise MergeGraphError(f"{model.reference}: {error}") from error
    for fault in _faults(found, model.tensors):
        raise MergeGraphError(f"{model.reference}: codec {codec.name}: {fault}")
    return found or {}


def _faults(found: Any, tensors: Mapping[str, Task]) -> Iterator[str]:
    """What is wrong with what a codec gave: nothing may be lost by it."""
    if found is not None and not isinstance(found, Mapping):
        yield f"gave {type(found).__name__} in place of tensors by name"
        return
    found = found or {}
    for name, each in found.items():
        if not isinstance(each, Decoded) or not isinstance(each.task, Task):
            yield f"{name}: is no Decoded with a task"
            return
        made_of = (*each.uses, *each.leaves)
        if gone := [used for used in made_of if used not in tensors]:
            yield f"{name}: uses {gone[0]}, which the checkpoint does not have"
        if name in tensors and name not in made_of:
            yield f"{name}: is stored already, and not among what it is made of"
    kept = {used: name for name, each in found.items() for used in (*each.uses, *each.leaves)}
    for name in sorted(found.keys() - set(kept.values())):
        yield f"{name}: has no tensor of its own in the checkpoint that it stands for"
