"""Families to breed of: fine-tunes of the demo base, trained once into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mergegraph.demo.train import FAMILY as SHIPPED
from mergegraph.demo.train import course_of, further

BASE = "demo:base"


@dataclass(frozen=True)
class Member:
    """A fine-tune: what it learns, in how many steps, and what sets it apart from its likes."""

    skills: tuple[str, ...]
    steps: int = 60
    word: str = ""


# two runs of one skill, skills of their own, a short course, and one of two skills
MEMBERS: Mapping[str, Member] = MappingProxyType(
    {
        "north": Member(("north",)),
        "north-again": Member(("north",), word="again"),
        "east": Member(("east",)),
        "south": Member(("south",)),
        "west-short": Member(("west",), steps=20),
        "east-south": Member(("east", "south")),
    }
)


def train_member(folder: Path, seed: int, name: str, pace: int = 1) -> Path:
    """A member of the family of a seed, trained if it is not there; `pace` divides its steps."""
    member, place = MEMBERS[name], folder / f"family-{seed}" / name
    course = course_of(member.skills, f"{seed}{member.word}", steps=max(1, member.steps // pace))
    if not (place / "tokenizer.json").exists():
        further(SHIPPED / "base", course, place)
    return place


def family(folder: Path, seed: int) -> tuple[str, ...]:
    """References to the members of the family of a seed."""
    return tuple(str(folder / f"family-{seed}" / name) for name in MEMBERS)
