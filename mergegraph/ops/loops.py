"""Loops over the entries of arrays, written for numba to compile: plain, and slow without it."""

from __future__ import annotations

from typing import Any

import numpy as np

_MAGNITUDE = 0x7FFF_FFFF  # the bits of a float32 but for its sign
_LOW_BITS = 16
_BLOCK = 1024  # entries that loops over models work on while the nearest cache has them


def count_high(bits: Any, histogram: Any) -> None:
    """Count magnitudes by their high bits."""
    for each in bits:
        histogram[(each & _MAGNITUDE) >> _LOW_BITS] += 1


def count_low(bits: Any, lowest: int, histogram: Any) -> None:
    """Count the magnitudes of one bucket by their low bits."""
    for each in bits:
        above = (each & _MAGNITUDE) - lowest
        if 0 <= above < 1 << _LOW_BITS:
            histogram[above] += 1


def count_equal(bits: Any, magnitude: int) -> int:
    """How many entries have a magnitude."""
    count = 0
    for each in bits:
        count += (each & _MAGNITUDE) == magnitude
    return count


def spread_by_rank(bits: Any, falling: Any, result: Any) -> None:
    """Rows of as many entries as `falling` has, ranked by falling magnitude, equal ones by index.

    A radix sort by digits of 11, 11 and 9 bits, lowest first; it ends with every entry's rank.
    """
    entries = len(falling)
    first, second, third = (
        np.empty(2048, np.int64),
        np.empty(2048, np.int64),
        np.empty(512, np.int64),
    )
    keys, places = np.empty((2, entries), np.uint32), np.empty((2, entries), np.uint32)
    for start in range(0, len(bits), entries):
        row, out = bits[start : start + entries], result[start : start + entries]
        first[:], second[:], third[:] = 0, 0, 0
        for i in range(entries):
            key = np.uint32(_MAGNITUDE - (row[i] & _MAGNITUDE))
            keys[0, i] = key
            first[key & 2047] += 1
            second[(key >> 11) & 2047] += 1
            third[key >> 22] += 1
        for counts in (first, second, third):
            total = 0
            for digit in range(len(counts)):
                counts[digit], total = total, total + counts[digit]
        for i in range(entries):
            key = keys[0, i]
            place = first[key & 2047]
            first[key & 2047] += 1
            keys[1, place], places[1, place] = key, i
        for i in range(entries):
            key = keys[1, i]
            place = second[(key >> 11) & 2047]
            second[(key >> 11) & 2047] += 1
            keys[0, place], places[0, place] = key, places[1, i]
        for i in range(entries):
            digit = keys[0, i] >> 22
            out[places[0, i]] = falling[third[digit]]
            third[digit] += 1


def vote(deltas: Any, weights: Any, signs: Any) -> None:
    """The sign of the weighted sum of each entry, +1 where it is zero."""
    for start in range(0, len(signs), _BLOCK):
        mass = signs[start : start + _BLOCK]
        mass[:] = 0
        for k in range(len(deltas)):
            delta, weight = deltas[k][start : start + _BLOCK], weights[k]
            for i in range(len(mass)):
                mass[i] += delta[i] * weight
        for i in range(len(mass)):
            mass[i] = np.float32(-1) if mass[i] < 0 else np.float32(1)


def fuse(
    base: Any,
    signs: Any,
    deltas: Any,
    weights: Any,
    least: float,
    scale: float,
    normalize: bool,  # noqa: FBT001 - numba knows no keywords
    fused: Any,
) -> None:
    """Base + scale · the sum, or mean, of the weighted entries that have the elected sign."""
    zero = np.float32(0)
    room = np.empty(_BLOCK, np.float32)
    for start in range(0, len(fused), _BLOCK):
        total, sign = fused[start : start + _BLOCK], signs[start : start + _BLOCK]
        origin = base[start : start + _BLOCK]
        mass = room[: len(total)]
        total[:], mass[:] = zero, zero
        for k in range(len(deltas)):
            delta, weight = deltas[k][start : start + _BLOCK], weights[k]
            for i in range(len(total)):
                share = delta[i] * weight * sign[i]
                total[i] += zero if share <= zero else share  # noqa: FURB136 - NaN stays
                mass[i] += weight if share > zero else zero
        if normalize:
            for i in range(len(total)):
                total[i] /= least if mass[i] < least else mass[i]  # noqa: FURB136 - as above
        for i in range(len(total)):
            total[i] = total[i] * sign[i] * scale + origin[i]
