"""Sample texts: whether a tokenizer cuts them as those do that it is made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.vocabulary.reading import Vocabulary

_TEXTS = 200  # of each vocabulary
_LENGTHS = (1, 2, 3, 12)  # tokens in a text
_STRIDE = 7919  # a prime: tokens far from one another stand side by side


def tokenizer_of(data: Mapping[str, Any], what: str) -> Any:
    """The tokenizer that tokenizer.json tells of; raises MergeGraphError if it tells of none."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(json.dumps(data))
    except Exception as error:
        raise MergeGraphError(f"{what}: tokenizer.json cannot be used: {error}") from error


def shared_samples(vocabularies: Sequence[Vocabulary]) -> dict[str, list[str]]:
    """Texts that several tokenizers cut alike, and the tokens they cut them into."""
    found = {}
    unknown = _unknown(vocabularies[0])
    tokenizers = [tokenizer_of(each.data, each.reference) for each in vocabularies]
    for vocabulary, own in zip(vocabularies, tokenizers, strict=True):
        for text in _texts(vocabulary, own):
            cut = [_cut(each, text) for each in tokenizers]
            # what all of them do not know, a union may know
            if unknown not in cut[0] and all(each == cut[0] for each in cut):
                found[text] = cut[0]
    return found


def check_samples(
    data: Mapping[str, Any], samples: Mapping[str, list[str]], references: Sequence[str]
) -> None:
    """See that a tokenizer cuts texts as it should; raises MergeGraphError if not."""
    made = tokenizer_of(data, "the union")
    for text, tokens in samples.items():
        if _cut(made, text) != tokens:
            raise MergeGraphError(
                f"the tokenizer of {', '.join(references)} cannot be united with the first: texts "
                f"that they cut alike, such as {text[:40]!r}, would be cut otherwise; "
                "set tokenizer_source to base, or to one of the models"
            )


def _texts(vocabulary: Vocabulary, tokenizer: Any) -> Iterator[str]:
    """Texts of words side by side, always the same."""
    ids = sorted(
        number for token, number in vocabulary.ids.items() if token not in vocabulary.added
    )
    if not ids:
        return
    at = 0
    for number in range(_TEXTS):
        chosen = []
        for _ in range(_LENGTHS[number % len(_LENGTHS)]):
            chosen.append(ids[at % len(ids)])
            at += _STRIDE
        yield tokenizer.decode(chosen)


def _unknown(vocabulary: Vocabulary) -> str | None:
    """The token for what is not known, if there is one."""
    model = vocabulary.data["model"]
    number = model.get("unk_id")
    return vocabulary.by_id.get(number) if type(number) is int else model.get("unk_token")


def _cut(tokenizer: Any, text: str) -> list[str]:
    return list(tokenizer.encode(text, add_special_tokens=False).tokens)
