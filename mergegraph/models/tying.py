"""Heads that are embeddings: stored beside them or not, they are one tensor."""

from __future__ import annotations

from mergegraph.config import Config, ties_head
from mergegraph.models.model import Model
from mergegraph.names import is_embedding, is_head

_HEAD = "lm_head.weight"  # what transformers calls it where it is not stored


def tied_head(model: Model) -> dict[str, str]:
    """The head that is an embedding, stored or not, by the name of the embedding."""
    heads = [name for name in model.tensors if is_head(name)]
    embedding = next(filter(is_embedding, model.tensors), None)
    says = ties_head(model.config)
    if (
        embedding is None
        or says is False
        or (says is None and heads)
        or not _has_head(model.config)
    ):
        return {}
    return {embedding: heads[0] if heads else _HEAD}


def _has_head(config: Config) -> bool:
    return any("LM" in str(each) for each in config.get("architectures") or ())
