"""Loops for numba to compile: the machine that runs instructions, and ranks of rows."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from mergegraph.bits import INFINITY, LOW_BITS, MAGNITUDE
from mergegraph.instructions import Do

BLOCK = 512  # entries of a register: a dozen of them stay in the nearest cache
_NONE = 0x7FC0_0000  # a NaN
_BUCKET = np.uint32(1 << LOW_BITS)
_DIGITS = np.float32(1 << 16)  # values of the first digit of a draw
_FEW = 32  # entries that are looked at together first: most hold nothing of what is looked for

_WIDEN, _LOAD, _NARROW, _STORE = map(int, (Do.WIDEN, Do.LOAD, Do.NARROW, Do.STORE))
_CLEAR, _ROUND = map(int, (Do.CLEAR, Do.ROUND))
_SUBTRACT, _ADD = map(int, (Do.SUBTRACT, Do.ADD))
_MULTIPLY, _DIVIDE = map(int, (Do.MULTIPLY, Do.DIVIDE))
_SCALE, _ADD_SCALED, _DIVIDE_BY = map(int, (Do.SCALE, Do.ADD_SCALED, Do.DIVIDE_BY))
_RAISE, _POSITIVE, _IS_POSITIVE = map(int, (Do.RAISE, Do.POSITIVE, Do.IS_POSITIVE))
_SIGN, _ABOVE, _EXCEPT, _CHOOSE = map(int, (Do.SIGN, Do.ABOVE, Do.EXCEPT, Do.CHOOSE))
_COUNT_HIGH, _COUNT_LOW = int(Do.COUNT_HIGH), int(Do.COUNT_LOW)
_COUNT_TIES, _COUNT_NONFINITE = int(Do.COUNT_TIES), int(Do.COUNT_NONFINITE)


@cache
def compiled(loop: Any, signature: str) -> Any:
    """A loop, compiled now, and run without the interpreter's lock; ImportError without numba."""
    import numba

    return numba.njit([signature], nogil=True, error_model="numpy")(loop)


RUN = (
    "void(int32[:, ::1], float32[::1], int64[::1], int64[:, ::1], int64, "
    "uint16[::1], int64[::1], uint16[::1], int64[::1], "
    "uint8[:, ::1], int64[::1], int32[:, ::1], int64[::1], float32[:, ::1])"
)


def run(  # noqa: C901, PLR0912, PLR0915 - one branch for each instruction
    code: Any,
    numbers: Any,
    wholes: Any,
    bounds: Any,
    entries: int,
    inputs: Any,
    input_at: Any,
    outputs: Any,
    output_at: Any,
    sides: Any,
    counts: Any,
    places: Any,
    ties: Any,
    registers: Any,
) -> None:
    """Run a program on a strip, block by block.

    `inputs` and `outputs` are halves of float32 or whole bfloat16, those of number k from
    `input_at[k]` on; `bounds` has a threshold for entries before an index, one for those after it,
    and the index.
    """
    zero, one = np.float32(0), np.float32(1)
    bits = registers.view(np.int32)
    inputs32, outputs32 = inputs.view(np.float32), outputs.view(np.float32)
    for start in range(0, entries, BLOCK):
        n = min(BLOCK, entries - start)
        for at in range(len(code)):
            do, a, b, c = code[at, 0], code[at, 1], code[at, 2], code[at, 3]
            if do == _WIDEN:
                narrow, to = inputs[input_at[b] + start :], bits[a]
                for i in range(n):
                    to[i] = np.int32(narrow[i]) << 16
            elif do == _LOAD:
                wide, out = inputs32[input_at[b] // 2 + start :], registers[a]
                for i in range(n):
                    out[i] = wide[i]
            elif do == _NARROW:
                halves, to = outputs[output_at[b] + start :], bits[a]
                for i in range(n):
                    halves[i] = np.uint32(to[i]) >> 16
            elif do == _STORE:
                wide, out = outputs32[output_at[b] // 2 + start :], registers[a]
                for i in range(n):
                    wide[i] = out[i]
            elif do == _CLEAR:
                registers[a, :n] = zero
            elif do == _ROUND:
                to, of = bits[a], bits[b]
                for i in range(n):
                    half = np.int32(0x7FFF) + ((of[i] >> 16) & np.int32(1))
                    is_none = (of[i] & MAGNITUDE) > INFINITY
                    rounded = ((of[i] + half) >> 16) << 16
                    to[i] = _NONE if is_none else rounded
            elif do == _SUBTRACT:
                out, x, y = registers[a], registers[b], registers[c]
                for i in range(n):
                    out[i] = x[i] - y[i]
            elif do == _ADD:
                out, x, y = registers[a], registers[b], registers[c]
                for i in range(n):
                    out[i] = x[i] + y[i]
            elif do == _MULTIPLY:
                out, x, y = registers[a], registers[b], registers[c]
                for i in range(n):
                    out[i] = x[i] * y[i]
            elif do == _DIVIDE:
                out, x, y = registers[a], registers[b], registers[c]
                for i in range(n):
                    out[i] = x[i] / y[i]
            elif do == _SCALE:
                out, x, number = registers[a], registers[b], numbers[c]
                for i in range(n):
                    out[i] = x[i] * number
            elif do == _ADD_SCALED:
                out, x, number = registers[a], registers[b], numbers[c]
                for i in range(n):
                    out[i] += x[i] * number
            elif do == _DIVIDE_BY:
                out, x, number = registers[a], registers[b], numbers[c]
                for i in range(n):
                    out[i] = x[i] / number
            elif do == _RAISE:
                out, x, number = registers[a], registers[b], numbers[c]
                for i in range(n):
                    out[i] = number if x[i] < number else x[i]  # noqa: FURB136 - NaN stays
            elif do == _POSITIVE:
                out, x = registers[a], registers[b]
                for i in range(n):
                    out[i] = zero if x[i] <= zero else x[i]  # noqa: FURB136 - NaN stays
            elif do == _IS_POSITIVE:
                out, x = registers[a], registers[b]
                for i in range(n):
                    out[i] = one if x[i] > zero else zero
            elif do == _SIGN:
                out, x = registers[a], registers[b]
                for i in range(n):
                    out[i] = -one if x[i] < zero else one
            elif do == _ABOVE:
                to, of = bits[a], bits[b]
                early, late, end = bounds[c, 0], bounds[c, 1], bounds[c, 2] - start
                turn = min(n, max(0, end))
                for i in range(turn):
                    to[i] = of[i] if (of[i] & MAGNITUDE) > np.int32(early) else 0
                to, of = to[turn:], of[turn:]
                for i in range(n - turn):
                    to[i] = of[i] if (of[i] & MAGNITUDE) > np.int32(late) else 0
            elif do == _EXCEPT:
                to, of, less = bits[a], bits[b], bits[c]
                for i in range(n):
                    to[i] = of[i] ^ less[i]
            elif do == _CHOOSE:
                to, of, side = bits[a], bits[b], sides[c, start:]
                for i in range(n):
                    to[i] = of[i] if side[i] != 0 else 0
            elif do == _COUNT_HIGH:
                of, histogram = bits[b], counts[a:]
                for i in range(n):
                    histogram[(of[i] & MAGNITUDE) >> LOW_BITS] += 1
            elif do == _COUNT_LOW:
                of, histogram, lowest = bits[b], counts[a:], np.int32(wholes[c])
                for first in range(0, n, _FEW):
                    few = of[first : min(first + _FEW, n)]
                    hits: Any = 0
                    for i in range(len(few)):
                        hits += np.uint32((few[i] & MAGNITUDE) - lowest) < _BUCKET
                    if hits:
                        for i in range(len(few)):
                            above = np.uint32((few[i] & MAGNITUDE) - lowest)
                            if above < _BUCKET:
                                histogram[above] += 1
            elif do == _COUNT_TIES:
                of, row, value, found = bits[b], places[a], np.int32(wholes[c]), ties[a]
                for first in range(0, n, _FEW):
                    few = of[first : min(first + _FEW, n)]
                    hits = 0
                    for i in range(len(few)):
                        hits += (few[i] & MAGNITUDE) == value
                    if hits:
                        for i in range(len(few)):
                            if (few[i] & MAGNITUDE) == value:
                                row[found] = start + first + i
                                found += 1
                ties[a] = found
            elif do == _COUNT_NONFINITE:
                of, found = bits[b], 0
                for i in range(n):
                    found += (of[i] & INFINITY) == INFINITY
                counts[a] += found


DROP_BY_RANK = (
    "int64(int32[::1], float32[::1], float32[::1], uint16[::1], boolean, float32[::1], int64[::1], "
    "float32[::1])"
)


def drop_by_rank(  # noqa: C901 - sorting and choosing in one go, for the cache
    bits: Any,
    values: Any,
    falling: Any,
    digits: Any,
    rescale: bool,  # noqa: FBT001 - numba knows no keywords
    result: Any,
    unsettled: Any,
    rests: Any,
) -> int:
    """Rows of as many entries as `falling` has, each kept with the chance that its rank has.

    They are ranked by falling magnitude, equal ones by index: a radix sort by digits of 11, 11 and
    9 bits, lowest first, ends with every entry's rank. `digits` are the first of the draws; gives
    how many places it put into `unsettled`: kept for now, further digits must be below their rests.
    """
    count, one = 0, np.float32(1)
    entries = len(falling)
    first, second, third = (
        np.empty(2048, np.int64),
        np.empty(2048, np.int64),
        np.empty(512, np.int64),
    )
    keys, places = np.empty((2, entries), np.uint32), np.empty((2, entries), np.uint32)
    for start in range(0, len(bits), entries):
        row, out = bits[start : start + entries], result[start : start + entries]
        row_values, row_digits = values[start : start + entries], digits[start : start + entries]
        first[:], second[:], third[:] = 0, 0, 0
        for i in range(entries):
            key = np.uint32(MAGNITUDE - (row[i] & MAGNITUDE))
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
        for begin in range(0, len(out), _FEW):
            end = min(begin + _FEW, len(out))
            keep, value, draw = out[begin:end], row_values[begin:end], row_digits[begin:end]
            hits = 0
            for i in range(len(keep)):
                limit, drawn = keep[i] * _DIGITS, np.float32(draw[i])
                hits += (drawn < limit) & (drawn + one > limit)
            for i in range(len(keep) if hits else 0):
                limit, drawn = keep[i] * _DIGITS, np.float32(draw[i])
                if drawn < limit < drawn + one:
                    unsettled[count], rests[count] = start + begin + i, limit - drawn
                    count += 1
            for i in range(len(keep)):
                kept = value[i] / keep[i] if rescale else value[i]
                keep[i] = kept if np.float32(draw[i]) < keep[i] * _DIGITS else np.float32(0)
    return count
