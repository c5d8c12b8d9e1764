"""Chance: which entries are chosen, as the seed and an entry's index say and nothing else.

An entry's draw is a number in [0, 1). Its first 16 bits are cheap, four of them being in a word of
the Philox stream that the seed keys. They settle the choice but for one entry in 65536; only of
that one are the further bits drawn, so that chances are met to the last bit of a float.
"""

from __future__ import annotations

from math import ceil
from typing import Any

_FIRST = 1 << 16  # values of the first digit of a draw
_PER_WORD = 4  # first digits in a word of the stream
_WORDS = 4  # of a step of the counter
_REST_STREAM = 1  # the counter's highest word: the further digits have a stream of their own


def chosen(probability: Any, *, seed: int, start: int, count: int) -> Any:
    """Which of `count` entries from index `start` have a draw below their probability, as bools.

    `probability` is a number for all, or an array of float32 with one for each.
    """
    import numpy as np

    digits = first_digits(seed, start, count)
    if isinstance(probability, float):
        limit = probability * _FIRST
        below = digits <= min(_FIRST, ceil(limit)) - 1 if limit > 0 else np.zeros(count, np.bool_)
        unsettled = digits == int(limit) if 0 < limit < _FIRST and limit % 1 else ()
        rest = np.broadcast_to(limit % 1, count)
    else:
        limits = probability * np.float32(_FIRST)
        digits = digits.astype(np.float32)
        below = digits < limits
        unsettled = below & (digits + np.float32(1) > limits)
        rest = limits - digits
    for place in np.flatnonzero(unsettled):
        below[place] = further_digits(seed, start + int(place)) < rest[place]
    return below


def first_digits(seed: int, start: int, count: int) -> Any:
    """The first 16 bits of the draws of `count` entries from index `start`, as uint16."""
    import numpy as np

    words, skipped = divmod(start, _PER_WORD)
    steps, skipped_words = divmod(words, _WORDS)
    bits = np.random.Philox(key=seed)
    bits.advance(steps)
    skipped += skipped_words * _PER_WORD
    found = bits.random_raw(-(-(skipped + count) // _PER_WORD))
    return found.astype("<u8", copy=False).view("<u2")[skipped : skipped + count]


def further_digits(seed: int, index: int) -> float:
    """What follows the first 16 bits of an entry's draw, as a number in [0, 1)."""
    import numpy as np

    word = np.random.Philox(key=seed, counter=[index, 0, 0, _REST_STREAM]).random_raw()
    return float(word >> 11) / 2**53
