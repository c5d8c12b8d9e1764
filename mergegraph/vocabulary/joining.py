"""The vocabulary of a result: that of one model, with the tokens that it is to have besides."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.vocabulary import merges as bpe
from mergegraph.vocabulary.reading import Vocabulary, entry_of
from mergegraph.vocabulary.samples import check_samples, shared_samples, tokenizer_of

_FRAME = ("normalizer", "pre_tokenizer", "decoder")
_REMEDY = "set tokenizer_source to base, or to one of the models"
_UNSAID = (None, False, "")  # values that say no more than that there is none


@dataclass(frozen=True)
class Joined:
    """The tokens of a result. The ids of its leader's stay; `added` and `grown` are new to it."""

    leader: Vocabulary
    ids: Mapping[str, int]
    data: Mapping[str, Any]
    added: tuple[str, ...] = ()
    grown: tuple[str, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether it differs from its leader's."""
        return self.data is not self.leader.data


def united(vocabularies: Sequence[Vocabulary]) -> Joined:
    """The union: the first vocabulary, then what the others have besides, in their order.

    Words are cut by the first one's rules. Raises MergeGraphError if others could not come about.
    """
    leader, *others = vocabularies
    ids = dict(leader.ids)
    added: dict[str, Mapping[str, Any]] = {}
    grown: dict[str, list[Vocabulary]] = {}
    for other in others:
        for token, _ in sorted(other.ids.items(), key=lambda each: each[1]):
            entry = other.added.get(token)
            if token in leader.ids:
                if entry and entry.get("special") and token not in leader.added:
                    added.setdefault(token, entry)
            elif entry:
                added.setdefault(token, entry)
            else:
                grown.setdefault(token, []).append(other)
    regular = [token for token in grown if token not in added]
    first = max(ids.values(), default=-1) + 1
    fresh = [*regular, *(token for token in added if token not in ids)]
    ids.update((token, first + i) for i, token in enumerate(fresh))
    if not regular:
        return with_added(leader, [{**each, "content": token} for token, each in added.items()])
    sources = [each for each in others if any(each in grown[token] for token in regular)]
    data = _grown(leader, sources, regular, ids)
    _add(data, [{**each, "content": t, "id": ids[t]} for t, each in added.items()])
    _fix_ids(data, ids)
    _check(data, ids)
    check_samples(data, shared_samples([leader, *sources]), [each.reference for each in sources])
    return Joined(leader, ids, data, tuple(added), tuple(regular))


def with_added(leader: Vocabulary, entries: Sequence[Mapping[str, Any]]) -> Joined:
    """A vocabulary with some more added tokens."""
    if not entries:
        return Joined(leader, leader.ids, leader.data)
    ids = dict(leader.ids)
    first = max(ids.values(), default=-1) + 1
    fresh = [str(each["content"]) for each in entries if each["content"] not in ids]
    ids.update((token, first + i) for i, token in enumerate(fresh))
    data = _copied(leader.data)
    _add(data, [{**each, "id": ids[each["content"]]} for each in entries])
    if not _has_ids(data, ids):
        _fix_ids(data, ids)
        _check(data, ids)
    return Joined(leader, ids, data, tuple(str(each["content"]) for each in entries))


def _copied(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a tokenizer.json holds, to be changed: what is long in it is not copied."""
    return {**data, "model": {**data["model"]}}


def _add(data: dict[str, Any], entries: Iterable[Mapping[str, Any]]) -> None:
    """Put added tokens among those that there are, in the order of their ids."""
    full = [{"id": each["id"], **entry_of(each["content"], is_special=False)} for each in entries]
    full = [
        {key: given.get(key, default) for key, default in each.items()}
        for each, given in zip(full, entries, strict=True)
    ]
    known = list(data.get("added_tokens") or [])
    data["added_tokens"] = sorted([*known, *full], key=lambda each: int(each["id"]))


def _fix_ids(data: dict[str, Any], ids: Mapping[str, int]) -> None:
    """Have the model itself say the ids of added tokens, which are numbered anew otherwise."""
    vocab = data["model"]["vocab"]
    added = {str(each["content"]): ids[each["content"]] for each in data["added_tokens"]}
    if isinstance(vocab, dict):
        data["model"]["vocab"] = {**vocab, **added}
        return
    known = {piece for piece, _ in vocab}
    vocab = data["model"]["vocab"] = list(vocab)
    for token, number in sorted(added.items(), key=lambda each: each[1]):
        if token not in known and number == len(vocab):
            vocab.append([token, 0.0])


def _has_ids(data: Mapping[str, Any], ids: Mapping[str, int]) -> bool:
    read = tokenizer_of(data, "the result").get_vocab(with_added_tokens=True)
    return all(read.get(token) == number for token, number in ids.items())


def _check(data: Mapping[str, Any], ids: Mapping[str, int]) -> None:
    if not _has_ids(data, ids):
        raise MergeGraphError(f"the ids of added tokens leave gaps that cannot be kept; {_REMEDY}")


# -- words: tokens that come about by the rules of the tokenizer ---------------------------------


def _grown(
    leader: Vocabulary,
    sources: Sequence[Vocabulary],
    regular: Sequence[str],
    ids: Mapping[str, int],
) -> dict[str, Any]:
    """What tokenizer.json of the leader holds, with more words."""
    for other in sources:
        if fact := _difference(leader, other):
            who = f"the tokenizers of {leader.reference} and {other.reference}"
            more = f"{len(regular)} words such as {_some(regular)} would never be found"
            raise MergeGraphError(f"{who} cannot be united: {fact}, so {more}; {_REMEDY}")
    data = _copied(leader.data)
    if leader.kind == "Unigram":
        data["model"]["vocab"] = _pieces(leader, sources, regular, ids)
    else:
        fresh = {token: ids[token] for token in regular}
        data["model"]["vocab"] = {**data["model"]["vocab"], **fresh}
    if leader.kind == "BPE":
        data["model"]["merges"] = _merges(leader, sources, regular, ids)
    return data


def _difference(leader: Vocabulary, other: Vocabulary) -> str | None:
    """What keeps the words of two tokenizers from being found by one; None if nothing does."""
    if leader.kind != other.kind:
        return f"one is {leader.kind}, the other {other.kind}"
    for part in _FRAME:
        if _plain(leader.data.get(part)) != _plain(other.data.get(part)):
            return f"their {part}s differ"
    mine, theirs = leader.data["model"], other.data["model"]
    skipped = {"type", "vocab", "merges", "dropout", "unk_id"}
    for key in sorted({*mine, *theirs} - skipped):
        if _plain(mine.get(key)) != _plain(theirs.get(key)):
            return f"their models differ in {key}"
    if leader.kind == "BPE" and mine.get("continuing_subword_prefix"):
        return "their words go on with a prefix (continuing_subword_prefix)"
    return None


def _plain(value: Any) -> str:
    """Text that is equal for settings that say the same."""
    if isinstance(value, Mapping):
        value = {key: each for key, each in value.items() if each not in _UNSAID}
    return "" if value in _UNSAID else json.dumps(value, sort_keys=True)


def _merges(
    leader: Vocabulary,
    sources: Sequence[Vocabulary],
    regular: Sequence[str],
    ids: Mapping[str, int],
) -> list[list[str]]:
    """The merges of all, by which every new word comes about that did so before."""
    suffix = leader.data["model"].get("end_of_word_suffix") or ""
    wanted: dict[str, list[str]] = {}
    for other in sources:
        ranks = bpe.ranks_of(other.merges)
        for token in regular:
            symbols = _symbols(token, suffix)
            is_made = token in other.ids and all(each in other.ids for each in symbols)
            if is_made and bpe.applied(symbols, ranks) == [token]:
                wanted[token] = symbols
    merges = bpe.united([leader.merges, *(each.merges for each in sources)])
    merges, lost = bpe.completed(merges, wanted, ids.keys())
    if lost:
        others = ", ".join(each.reference for each in sources)
        fact = f"{len(lost)} of {len(regular)} words such as {_some(lost)} would never be found"
        why = "their merges are at odds"
        who = f"the tokenizers of {leader.reference} and {others}"
        raise MergeGraphError(f"{who} cannot be united: {why}, and {fact}; {_REMEDY}")
    return [list(pair) for pair in merges]


def _symbols(token: str, suffix: str) -> list[str]:
    """What a word is made of by merges: its letters, the last one with the mark of a word's end."""
    if not suffix or not token.endswith(suffix) or token == suffix:
        return list(token)
    letters = list(token.removesuffix(suffix))
    return [*letters[:-1], letters[-1] + suffix]


def _pieces(
    leader: Vocabulary,
    sources: Sequence[Vocabulary],
    regular: Sequence[str],
    ids: Mapping[str, int],
) -> list[list[Any]]:
    """The pieces of all with their scores, each at the place that its id says."""
    pieces = [list(each) for each in leader.data["model"]["vocab"]]
    scores = {p: s for each in reversed(sources) for p, s in each.data["model"]["vocab"]}
    between = sorted(leader.added, key=lambda token: leader.ids[token])
    for token in between:
        if leader.ids[token] == len(pieces):
            pieces.append([token, 0.0])
    for token in regular:
        if ids[token] != len(pieces):
            raise MergeGraphError(f"the ids of {leader.reference} leave gaps; {_REMEDY}")
        pieces.append([token, scores[token]])
    return pieces


def _some(tokens: Sequence[str]) -> str:
    return ", ".join(repr(each) for each in tokens[:3])
