"""Merges of byte-pair encodings: those of several put together so that all tokens are reached."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

Pair = tuple[str, str]


def united(merges: Sequence[Sequence[Pair]]) -> list[Pair]:
    """All merges of several encodings, those of the first one first.

    What all of them cut a text into alike is what these cut it into: the merges of the first leave
    nothing that any other could merge.
    """
    return list(dict.fromkeys(pair for each in merges for pair in each))


def ranks_of(merges: Iterable[Pair]) -> dict[Pair, int]:
    """The place of each merge: what comes first is done first."""
    return {pair: rank for rank, pair in enumerate(merges)}


def applied(symbols: Sequence[str], ranks: Mapping[Pair, int]) -> list[str]:
    """What is left of some symbols when all merges are done."""
    word = list(symbols)
    while len(word) > 1:
        found = [ranks[pair] for pair in pairwise(word) if pair in ranks]
        if not found:
            break
        first = min(found)
        word = _once(word, first, ranks)
    return word


def _once(word: Sequence[str], rank: int, ranks: Mapping[Pair, int]) -> list[str]:
    """Symbols with every pair of a rank merged, from the left."""
    made: list[str] = []
    at = 0
    while at < len(word):
        pair = (word[at], word[at + 1]) if at + 1 < len(word) else None
        is_merged = pair is not None and ranks.get(pair) == rank
        made.append(word[at] + word[at + 1] if is_merged else word[at])
        at += 2 if is_merged else 1
    return made


def completed(
    merges: Sequence[Pair],
    wanted: Mapping[str, Sequence[str]],
    vocabulary: Collection[str],
) -> tuple[list[Pair], list[str]]:
    """Merges by which every wanted token is made of its symbols, and the tokens that are not.

    What is added comes last, and so takes nothing from tokens that are reached already.
    """
    all_merges = list(merges)
    ranks = ranks_of(all_merges)
    lost = []
    for token in sorted(wanted, key=lambda each: (len(wanted[each]), each)):
        left = applied(wanted[token], ranks)
        if left == [token]:
            continue
        more = _ways(left, vocabulary)
        for pair in more:
            if pair not in ranks:
                ranks[pair] = len(all_merges)
                all_merges.append(pair)
        if applied(wanted[token], ranks) != [token]:
            lost.append(token)
    return all_merges, lost


def _ways(word: Sequence[str], vocabulary: Collection[str]) -> list[Pair]:
    """Merges that make one token of a word by way of known ones; none if there is no way.

    `made[i, j]` is where the word from i to j may be put together.
    """
    made: dict[tuple[int, int], int] = {}
    count = len(word)
    for length in range(2, count + 1):
        for i in range(count - length + 1):
            j = i + length
            if "".join(word[i:j]) not in vocabulary:
                continue
            cuts = [k for k in range(i + 1, j) if _is_made(made, i, k) and _is_made(made, k, j)]
            if cuts:
                made[i, j] = cuts[0]
    return list(_unfolded(made, word, 0, count)) if (0, count) in made else []


def _is_made(made: Mapping[tuple[int, int], int], i: int, j: int) -> bool:
    return j == i + 1 or (i, j) in made


def _unfolded(
    made: Mapping[tuple[int, int], int], word: Sequence[str], i: int, j: int
) -> Iterable[Pair]:
    if j == i + 1:
        return
    k = made[i, j]
    yield from _unfolded(made, word, i, k)
    yield from _unfolded(made, word, k, j)
    yield "".join(word[i:k]), "".join(word[k:j])
