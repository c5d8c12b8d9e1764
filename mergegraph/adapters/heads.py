"""Heads that are their model's embedding: an adapter may change one and not the other."""

from __future__ import annotations

from dataclasses import replace

from mergegraph import config as configs
from mergegraph.models.model import Model
from mergegraph.names import is_embedding, is_head

_HEAD = "lm_head.weight"
_WITH_HEAD = ("CausalLM", "LMHeadModel", "ConditionalGeneration")


def with_head(model: Model) -> Model:
    """The model; if its head is its embedding, and not stored, with the head as a tensor."""
    name = embedding_of(model)
    told = model.config.get("architectures") or [""]
    has_head = any(map(is_head, model.tensors)) or not str(told[0]).endswith(_WITH_HEAD)
    if name is None or has_head or configs.ties_head(model.config) is False:
        return model
    return replace(
        model,
        tensors={**model.tensors, _HEAD: model.tensors[name]},
        stored={**model.stored, _HEAD: model.stored[name]},
    )


def joined(before: Model, after: Model, *, is_tied: bool) -> Model:
    """A changed model whose head is stored where it is no longer the embedding.

    `is_tied` says that the head follows the embedding, whatever becomes of it.
    """
    if not configs.ties_head(before.config) and _HEAD in before.tensors:
        return after
    heads = [name for name in after.tensors if is_head(name)]
    embedding = embedding_of(after)
    started = with_head(before).tensors
    touched = [
        name for name in (*heads, embedding) if name and after.tensors[name] != started.get(name)
    ]
    follows = is_tied or not touched or embedding is None
    if follows or all(after.tensors[name] == after.tensors[str(embedding)] for name in heads):
        kept = {n: task for n, task in after.tensors.items() if n in before.tensors or n != _HEAD}
        return replace(after, tensors=kept)
    if not heads:
        return after
    return replace(after, config=configs.with_untied_head(after.config))


def tied_to(model: Model, name: str) -> list[str]:
    """The heads that are an embedding, if that is what the tensor of that name is."""
    own = model.tensors[name]
    same = [n for n in model.tensors if is_head(n) and model.tensors[n] == own]
    return same if is_embedding(name) else []


def embedding_of(model: Model) -> str | None:
    """The name of the input embedding."""
    return next((name for name in model.tensors if is_embedding(name)), None)
