"""Sample texts: whether a tokenizer cuts them as those do that it is made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.vocabulary.growth import check_growth
from mergegraph.vocabulary.reading import JSON, Vocabulary

_TEXTS = 200  # of each vocabulary
_LENGTHS = (1, 2, 3, 12)  # tokens in a text
_LONGEST = 200  # letters of a token
_STRIDE = 7919  # a prime: tokens far from one another stand side by side


def tokenizer_of(data: Mapping[str, Any], what: str) -> Any:
    """The tokenizer that tokenizer.json tells of; raises MergeGraphError if it tells of none."""
    from tokenizers import Tokenizer

    check_growth(data, what)
    with _using(what):
        return Tokenizer.from_str(json.dumps(data))


@contextmanager
def _using(what: str) -> Iterator[None]:
    """Say whose tokenizer it was that could not be used."""
    try:
        yield
    except (MergeGraphError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # what panics in Rust is no Exception
        raise MergeGraphError(f"{what}: {JSON} cannot be used: {error}") from error


def shared_samples(vocabularies: Sequence[Vocabulary]) -> dict[str, list[str]]:
    """Texts that several tokenizers cut alike, and the tokens they cut them into."""
    found = {}
    unknown = _unknown(vocabularies[0])
    tokenizers = [tokenizer_of(each.data, each.reference) for each in vocabularies]
    references = [each.reference for each in vocabularies]
    for vocabulary, own in zip(vocabularies, tokenizers, strict=True):
        for text in _texts(vocabulary, own):
            cut = [_cut(*each, text) for each in zip(tokenizers, references, strict=True)]
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
        if _cut(made, "the union", text) != tokens:
            raise MergeGraphError(
                f"the tokenizer of {', '.join(references)} cannot be united with the first: texts "
                f"that they cut alike, such as {text[:40]!r}, would be cut otherwise; "
                "set tokenizer_source to base, or to one of the models"
            )


def _texts(vocabulary: Vocabulary, tokenizer: Any) -> Iterator[str]:
    """Texts of words side by side, always the same."""
    ids = sorted(
        number
        for token, number in vocabulary.ids.items()
        if token not in vocabulary.added and len(token) <= _LONGEST
    )
    if not ids:
        return
    at = 0
    for number in range(_TEXTS):
        chosen = []
        for _ in range(_LENGTHS[number % len(_LENGTHS)]):
            chosen.append(ids[at % len(ids)])
            at += _STRIDE
        with _using(vocabulary.reference):
            text = tokenizer.decode(chosen)
        yield text


def _unknown(vocabulary: Vocabulary) -> str | None:
    """The token for what is not known, if there is one."""
    model = vocabulary.data["model"]
    number = model.get("unk_id")
    return vocabulary.by_id.get(number) if type(number) is int else model.get("unk_token")


def _cut(tokenizer: Any, what: str, text: str) -> list[str]:
    with _using(what):
        return list(tokenizer.encode(text, add_special_tokens=False).tokens)
