"""The loop of `moments`: sums in float64, in an order that is the same for numpy and compiled.

Entries are taken in blocks of `ROWS` rows of `LANES`. The rows of a block are added to each other,
then the blocks, then the lanes, each in order; an end that is no whole block is filled with zeros.
So sums have the same bits with and without a compiler, on any processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

LANES, ROWS = 128, 8
BLOCK = LANES * ROWS

MOMENTS = (
    "void(UniTuple(uint16[::1], {count}), boolean, int64, float32[::1], float32[::1], "
    "float64[::1], uint8[:, ::1], float64[:, ::1], int32[:, :, ::1])"
)


def terms(count: int) -> Iterator[tuple[int, int]]:
    """What each row of `lanes` sums: of (i, j) the products of differences i and j.

    Of (i, -1) it is difference i itself, of (-1, -1) the square of the base. Differences are taken
    two by two, so that one is loaded for two products; where their count is odd, the last is zero.
    """
    yield -1, -1
    for i in range(0, count, 2):
        yield from ((i, i), (i, i + 1), (i + 1, i + 1), (i, -1), (i + 1, -1))
        for j in range(i + 2, count, 2):
            yield from ((i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1))


def total(lanes: Any) -> Any:
    """The sum of the lanes of each row, in order."""
    return np.add.accumulate(lanes, axis=-1)[..., -1]


def moments(  # noqa: C901, PLR0912, PLR0915 - one loop for the cache
    inputs: Any,
    is_wide: bool,  # noqa: FBT001 - numba knows no keywords
    entries: int,
    base: Any,
    own: Any,
    wide: Any,
    marks: Any,
    lanes: Any,
    counts: Any,
) -> None:
    """Add up what the differences of models and their base, the first of `inputs`, come to.

    Inputs are halves of float32 if they are wide, else bfloat16. The first rows of `marks` have 1
    where a difference is positive and 16 where it is negative, the others have it the other way
    round: of eight entries that are put together, both counts find room in a byte. `counts` has
    for each difference how many signs are those of every other, and then the opposite ones.
    """
    count, none = len(inputs) - 1, np.float32(0)
    for start in range(0, entries, BLOCK):
        n = min(BLOCK, entries - start)
        for i in range(count + 1):
            to = own if i else base
            if is_wide:
                whole = inputs[i][2 * start : 2 * (start + n)].view(np.float32)
                for k in range(n):
                    to[k] = whole[k]
            else:
                half = inputs[i][start : start + n]
                for k in range(n):
                    to[k] = np.int32(np.int32(half[k]) << 16).view(np.float32)
            for k in range(n, BLOCK):
                to[k] = none
            if i:
                difference = wide[(i - 1) * BLOCK : i * BLOCK]
                sign, turned = marks[i - 1], marks[count + i - 1]
                for k in range(BLOCK):
                    entry = own[k] - base[k]
                    difference[k] = entry
                    sign[k] = (entry > none) + 16 * (entry < none)
                for k in range(BLOCK):
                    turned[k] = np.uint8(sign[k] << 4) | np.uint8(sign[k] >> 4)
        out = lanes[0]
        for k in range(LANES):
            square = np.float64(base[k]) * np.float64(base[k])
            for row in range(1, ROWS):
                entry = np.float64(base[row * LANES + k])
                square += entry * entry
            out[k] += square
        at = 1
        for i in range(0, count, 2):
            x = wide[i * BLOCK : (i + 2) * BLOCK]
            out = lanes[at : at + 5].reshape(-1)
            for k in range(LANES):
                a, b = x[k], x[BLOCK + k]
                aa, ab, bb, sum_a, sum_b = a * a, a * b, b * b, a, b
                for row in range(1, ROWS):
                    a, b = x[row * LANES + k], x[BLOCK + row * LANES + k]
                    aa += a * a
                    ab += a * b
                    bb += b * b
                    sum_a += a
                    sum_b += b
                out[k] += aa
                out[LANES + k] += ab
                out[2 * LANES + k] += bb
                out[3 * LANES + k] += sum_a
                out[4 * LANES + k] += sum_b
            at += 5
            for j in range(i + 2, count, 2):
                y = wide[j * BLOCK : (j + 2) * BLOCK]
                out = lanes[at : at + 4].reshape(-1)
                for k in range(LANES):
                    a, b, c, d = x[k], x[BLOCK + k], y[k], y[BLOCK + k]
                    ac, ad, bc, bd = a * c, a * d, b * c, b * d
                    for row in range(1, ROWS):
                        a, b = x[row * LANES + k], x[BLOCK + row * LANES + k]
                        c, d = y[row * LANES + k], y[BLOCK + row * LANES + k]
                        ac += a * c
                        ad += a * d
                        bc += b * c
                        bd += b * d
                    out[k] += ac
                    out[LANES + k] += ad
                    out[2 * LANES + k] += bc
                    out[3 * LANES + k] += bd
                at += 4
        for i in range(count):
            for j in range(i, 2 * count):
                if count <= j <= count + i:  # what is opposite is so both ways
                    continue
                p, q, tally = marks[i], marks[j], counts[i, j]
                for k in range(LANES):
                    put = np.uint8(p[k] & q[k])
                    for row in range(1, ROWS):
                        put = np.uint8(put + np.uint8(p[row * LANES + k] & q[row * LANES + k]))
                    tally[k] += (put & 15) + (put >> 4)
