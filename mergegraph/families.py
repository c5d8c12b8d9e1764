"""Whether models are of one family: what tells it are the directions of their weights.

A fine-tune stays near to what it was made of, its weights point where those of its base do. Those
of models that were trained apart are at right angles, whatever their shapes and their data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

from mergegraph.tasks import Task

FEWEST = 4  # samples that tell something
_UNRELATED = 0.25  # a cosine of models that were trained apart is a tenth of it, or less
_OPPOSITE = -0.95
_EQUAL = 1e-12  # of the squares of two norms, what rounding can leave of a difference

Dots = Sequence[Sequence[float]]  # the dot products of all pairs of some tensors


@dataclass(frozen=True, slots=True)
class Sample:
    """One tensor, or its first rows, of every member of a family.

    Not every tensor tells of a family: norms of strangers are alike, too.
    """

    name: str
    tasks: tuple[Task, ...]
    tells_family: bool


@dataclass(frozen=True)
class Family:
    """Models that a stage merges, the base first if there is one, and samples of their tensors.

    Those that are `plain` are sampled as they are; of others, as models with adapters, samples
    show what they were made of.
    """

    place: str
    members: tuple[str, ...]
    has_base: bool
    plain: tuple[bool, ...]
    samples: tuple[Sample, ...]

    @property
    def first(self) -> str:
        """What the others are compared with, in words."""
        return f"the base {self.members[0]}" if self.has_base else self.members[0]


@dataclass(frozen=True)
class _Pair:
    """Two tensors, by their dot products."""

    name: str
    cosine: float
    difference: float  # as a multiple of the first one's norm


def told_of(family: Family, dots: Sequence[Dots]) -> Iterator[str]:
    """What is to be told of a family, given the dot products of each of its samples."""
    strangers = []
    for i in range(1, len(family.members)):
        pairs = list(_pairs(family, dots, 0, i))
        if len(pairs) >= FEWEST and median(each.cosine for each in pairs) < _UNRELATED:
            strangers.append(i)
            yield _told_of_stranger(family, i, pairs, dots)
    for i, j in _twos(len(family.members)):
        if family.plain[i] and family.plain[j] and _are_equal(family, dots, i, j):
            yield _told_of_equals(family, i, j)
        elif not {i, j} & {*strangers} and _are_opposite(family, dots, i, j):
            a, b = family.members[i], family.members[j]
            fact = f"{a} and {b} are opposite to each other in {len(dots)} sampled tensors"
            yield f"{family.place}: {fact}; what lies between them is a matter of chance"


def _told_of_stranger(
    family: Family, number: int, pairs: Sequence[_Pair], dots: Sequence[Dots]
) -> str:
    own = _evidence(pairs)
    who = family.members[number]
    what = "a fine-tune" if family.has_base else "a relative"
    others = []
    for i, other in enumerate(family.members[1:], 1):
        found = list(_pairs(family, dots, 0, i))
        if i != number and found and median(each.cosine for each in found) >= _UNRELATED:
            others.append(f"{other}: {median(each.difference for each in found):.2g}")
    beside = f" ({', '.join(others)})" if others else ""
    remedy = "is it the right base_model?" if family.has_base else "merges want relatives"
    fact = f"{who} does not look like {what} of {family.first}: {own}{beside}"
    return f"{family.place}: {fact}; {remedy}"


def _evidence(pairs: Sequence[_Pair]) -> str:
    middle = median(each.difference for each in pairs)
    cosine = median(each.cosine for each in pairs)
    far = max(pairs, key=lambda each: each.difference).name
    size = f"the difference is {middle:.2f} times as large as the weights themselves"
    return f"in {len(pairs)} sampled tensors, such as {far}, {size}, and the cosine {cosine:.2f}"


def _told_of_equals(family: Family, first: int, second: int) -> str:
    a, b, count = family.members[first], family.members[second], len(family.samples)
    if family.has_base and first == 0:
        fact = f"{b} equals the base {a} in {count} of {count} sampled tensors"
        return f"{family.place}: {fact}; if it is a copy, it adds nothing to the merge"
    fact = f"{a} and {b} are equal in {count} of {count} sampled tensors"
    return f"{family.place}: {fact}; if one is a copy, they count as one model with both weights"


def _pairs(family: Family, dots: Sequence[Dots], i: int, j: int) -> Iterator[_Pair]:
    """What the samples that tell of a family say of two members; nothing where one is zero."""
    for sample, own in zip(family.samples, dots, strict=True):
        if sample.tells_family and own[i][i] > 0 and own[j][j] > 0:
            difference = max(0.0, own[i][i] + own[j][j] - 2 * own[i][j])
            cosine = own[i][j] / sqrt(own[i][i]) / sqrt(own[j][j])
            yield _Pair(sample.name, cosine, sqrt(difference) / sqrt(own[i][i]))


def _are_equal(family: Family, dots: Sequence[Dots], i: int, j: int) -> bool:
    """Whether two members that are not the same tensors are equal in all samples."""
    if all(each.tasks[i] == each.tasks[j] for each in family.samples):
        return False  # the plan's notes tell of that
    own = [(each[i][i], each[j][j], each[i][j]) for each in dots]
    is_something = any(aa > 0 for aa, _, _ in own)
    return is_something and all(abs(aa + bb - 2 * ab) <= _EQUAL * aa for aa, bb, ab in own)


def _are_opposite(family: Family, dots: Sequence[Dots], i: int, j: int) -> bool:
    """Whether two models, or their changes of the base, point into opposite directions."""
    if family.has_base and i == 0:
        return False
    cosines = []
    for own in dots:
        at = own[0][0] if family.has_base else 0.0
        to_i, to_j = (own[0][i], own[0][j]) if family.has_base else (0.0, 0.0)
        aa, bb = own[i][i] - 2 * to_i + at, own[j][j] - 2 * to_j + at
        if aa > _EQUAL * own[i][i] and bb > _EQUAL * own[j][j]:
            cosines.append((own[i][j] - to_i - to_j + at) / sqrt(aa) / sqrt(bb))
    return len(cosines) >= FEWEST and median(cosines) < _OPPOSITE


def _twos(count: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(count) for j in range(i + 1, count))
