"""Palettes: every entry of a weight is one of a few numbers, and stored as the index of it."""

from collections.abc import Iterable, Mapping
from typing import Any

from mergegraph import Codec, Decoded, Task, hookimpl, op
from mergegraph.ops import as_small


@op(cut="pointwise", copies=2, infer=lambda indices, _palette: indices.with_dtype("float32"))
def look_up(indices: Any, palette: Any) -> Any:
    """The number of each index."""
    return palette.float()[indices.int()]


def decode(tensors: Mapping[str, Task], _config: Any, _read: Any) -> dict[str, Decoded]:
    """Every weight that is stored as `NAME.indices` and `NAME.palette`."""
    found = {}
    for indices in tensors:
        name, _, last = indices.rpartition(".")
        if last == "indices":
            palette = f"{name}.palette"
            task = look_up(tensors[indices], as_small(tensors[palette]))
            found[name] = Decoded(task, uses=(indices, palette))
    return found


@hookimpl
def tensor_codecs() -> Iterable[Codec]:
    """Offer it."""
    return [Codec("palette", decode)]
