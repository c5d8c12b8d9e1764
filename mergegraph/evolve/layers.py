"""What holes need to know of layers: how many there are, and what they add to the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.evolve.forms import inside
from mergegraph.evolve.holes import Hole
from mergegraph.library import Library
from mergegraph.models.model import Model
from mergegraph.names import layer_of
from mergegraph.recipe.source import Path

_OWN = ("o_proj", "down_proj")
# what the names of projections hold that write to the residual stream: of attention, of the MLP.
# Nothing may stand behind them, such as the norms of Gemma 2 or OLMo 2, which undo any scale.
_WRITERS: Mapping[str, tuple[str, ...]] = {
    "llama": _OWN,
    "mistral": _OWN,
    "ministral": _OWN,
    "qwen2": _OWN,
    "qwen3": _OWN,
    "gemma": _OWN,
    "phi3": _OWN,
    "granite": _OWN,
    "cohere": _OWN,
    "smollm3": _OWN,
    "stablelm": _OWN,
    "qwen2_moe": _OWN,
    "qwen3_moe": _OWN,
    "olmoe": _OWN,
    "mixtral": ("o_proj", "w2"),
    "starcoder2": ("o_proj", "c_proj"),
    "phi": ("self_attn.dense", "fc2"),
    "gpt2": ("attn.c_proj", "mlp.c_proj"),
    "gpt_neox": ("attention.dense", "dense_4h_to_h"),
    "falcon": ("self_attention.dense", "dense_4h_to_h"),
}


class Layers:
    """Looks at the models of a recipe, by their headers alone."""

    def __init__(self, library: Library) -> None:
        self._shelf = library.shelf()

    def count(self, reference: str) -> int:
        """How many layers a model has; raises MergeGraphError if that is not clear."""
        model = self._shelf.model(reference)
        stack = model.main_stack()
        if stack is None:
            fact = f"{reference}: how many layers it has is not clear"
            raise MergeGraphError(f"{fact}; say it beside groups, as of: 24")
        return model.stacks[stack]

    def writers(self, reference: str) -> tuple[str, ...]:
        """What the names of projections hold that write to the stream, all it has of them."""
        model = self._shelf.model(reference)
        kind = model.config.get("model_type")
        known = _WRITERS.get(str(kind), ())
        if not known or not all(_has(model, each) for each in known):
            fact = f"which projections of a {kind} write to its residual stream is not known"
            raise MergeGraphError(f"{reference}: {fact}; search the path without scales")
        return known


def _has(model: Model, part: str) -> bool:
    return any(part in name for name in model.tensors if layer_of(name))


def count_for(
    hole: Hole, document: Any, documents: Sequence[Any], count: Callable[[str], int]
) -> int:
    """The number of layers that the groups of a hole are spread over.

    It is that of the slice the hole stands in, or of the model that the merge begins with.
    """
    if hole.count is not None:
        return hole.count
    ranges = list(_ranges(document, hole.piece.path))
    lengths = {end - first for first, end in ranges}
    reference = None if ranges else _first(document, documents, len(documents))
    if len(lengths) > 1 or (not ranges and reference is None):
        fact = "over how many layers its groups go is not clear"
        raise MergeGraphError(f"{hole.piece.place}: {fact}; say it beside groups, as of: 24")
    found = lengths.pop() if lengths else count(str(reference))
    if found < len(hole.genes):
        fact = f"groups {len(hole.genes)}: there are {found} layers"
        raise MergeGraphError(f"{hole.piece.place}: {fact}")
    return found


def _ranges(document: Any, path: Path) -> Iterator[tuple[int, int]]:
    """The layer ranges of the slice that a path leads into, or else of all slices."""
    data, found = document, None
    for step in path:
        if step == "slices" and isinstance(data, dict):
            found = data.get("slices")
        elif isinstance(step, int) and data is found and isinstance(found, list):
            found = [found[step]]
        data = inside(data, step)
    if found is None and isinstance(document, dict):
        found = document.get("slices")
    for each in found if isinstance(found, list) else ():
        sources = each.get("sources") if isinstance(each, dict) else None
        for source in sources if isinstance(sources, list) else ():
            layers = source.get("layer_range") if isinstance(source, dict) else None
            match layers:
                case [int(first), int(end)]:
                    yield first, end


def _first(document: Any, documents: Sequence[Any], deep: int) -> str | None:
    """The model that a document begins with, through the stages it names."""
    data = document if isinstance(document, dict) else {}
    models = data.get("models")
    items = models if isinstance(models, list) else []
    listed = [each.get("model") for each in items if isinstance(each, dict)]
    named = [each for each in (data.get("base_model"), *listed) if isinstance(each, str)]
    if not named:
        return None
    stages = {each.get("name"): each for each in documents if isinstance(each, dict)}
    if named[0] in stages and deep:
        return _first(stages[named[0]], documents, deep - 1)
    return named[0]
