"""Heads: what a model has for its own task, and keeps to itself when bodies are shared."""

from __future__ import annotations

from collections.abc import Iterable

from mergegraph.errors import MergeGraphError
from mergegraph.names import is_head, part_of, stands_under

# what transformers, timm and others call the part behind the body, at the root of a model
WORDS = frozenset(
    {
        "classification_head",
        "classifier",
        "cls",
        "discriminator_predictions",
        "generator_lm_head",
        "head",
        "lm_head",
        "logits_proj",
        "mlm_head",
        "pre_classifier",
        "prediction_head",
        "qa_outputs",
        "score",
        "sequence_summary",
        "summary",
        "v_head",
        "vocab_layer_norm",
        "vocab_projector",
        "vocab_transform",
    }
)


def heads_of(names: Iterable[str]) -> tuple[str, ...]:
    """The prefixes of a model's heads, told by the names of its tensors, in their order.

    Raises MergeGraphError where what stands under such a prefix is not all of one head.
    """
    known = dict.fromkeys(names)
    found = dict.fromkeys(prefix for each in known if (prefix := _head(each)) is not None)
    for prefix in found:
        for each in known:
            if stands_under(each, prefix) and _head(each) is None:
                raise MergeGraphError(f"{each}: stands under the head '{prefix}' and is none")
    return tuple(found)


def is_private(name: str, heads: Iterable[str]) -> bool:
    """Whether a tensor belongs to one of some heads."""
    return any(stands_under(name, prefix) for prefix in heads)


def _head(name: str) -> str | None:
    """The prefix of the head that a tensor belongs to; None if it is of the body."""
    folder = part_of(name)
    word, dot, _ = name[len(folder) :].partition(".")
    if dot and word in WORDS:
        return folder + word
    return name.rpartition(".")[0] if is_head(name) else None
