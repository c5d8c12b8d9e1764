"""What a search came to, as files: search.json for programs, recipes for further runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergegraph.breed.members import Birth, merge_gain
from mergegraph.breed.scoring import Scored
from mergegraph.search.examining import Objective
from mergegraph.search.record import Member


def told_member(
    birth: Birth,
    scored: Scored,
    *,
    gain: float | None,
    kinship: float | None,
    recipe: str | None,
) -> Member:
    """A member, or one that could not be made."""
    return Member(
        name=birth.name,
        generation=birth.generation,
        parents=birth.parents,
        explores=birth.explores,
        recipe=recipe,
        scores=scored.scores,
        problem=scored.problem,
        gain=gain,
        kinship=kinship,
        seconds=round(scored.seconds, 3),
    )


def gain_of(birth: Birth, scored: Mapping[str, Scored], objective: Objective) -> float | None:
    """By how much a member is better than its parents on average; None where that has no answer."""
    told = [scored[name].scores for name in (birth.name, *birth.parents)]
    if not birth.parents or any(each is None for each in told):
        return None
    own, *parents = [objective.rank(each) for each in told if each is not None]
    return merge_gain(own, parents)


def matrix_of(
    names: Sequence[str], kinship: Mapping[tuple[str, str], float | None]
) -> tuple[tuple[float | None, ...], ...]:
    """The kinship of every two of some names, 1 of one with itself left to who draws it."""
    return tuple(tuple(kinship.get((a, b), kinship.get((b, a))) for b in names) for a in names)
