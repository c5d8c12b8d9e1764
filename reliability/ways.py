"""Ways: how the same work may be done, none of which the bytes may tell."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hypothesis import strategies as st

from reliability.jobs import AMPLE, Job, least_memory

Budget = Literal["least", "little", "ample"]
Spelling = Literal["absolute", "relative", "roundabout", "link"]
Company = Literal["alone", "together", "reversed"]
FILES = 3  # of a model that is not in one


@dataclass(frozen=True)
class Kill:
    """An end at some instant, and how the run after it goes on."""

    seconds: float
    threads: int
    budget: Budget


@dataclass(frozen=True)
class Way:
    """How a case is run."""

    threads: int = 1
    budget: Budget = "ample"
    together: int = 1
    shard_size: str = "5GB"
    is_compiled: bool = False
    files: int = 1
    spelling: Spelling = "absolute"
    company: Company = "alone"
    nursery: int | None = None
    kills: tuple[Kill, ...] = ()
    every: int | None = None

    @property
    def is_placed_alike(self) -> bool:
        """Whether files that name paths are those of the plain way."""
        return self.spelling == "absolute" and self.shard_size == "5GB" and self.files == 1


PLAIN = Way()


def ways(nurseries: int, *, may_compile: bool) -> st.SearchStrategy[Way]:
    """Any way; with no nurseries, all in this process."""
    kills = st.lists(
        st.builds(
            Kill,
            st.floats(0, 0.12),
            st.sampled_from([1, 2, 7]),
            st.sampled_from(["least", "little", "ample"]),
        ),
        max_size=3,
    ).map(tuple)
    born = st.integers(0, nurseries - 1) if nurseries else st.none()
    here = st.tuples(st.none(), st.just(()))
    there = st.tuples(born, kills if nurseries else st.just(()))
    return st.builds(
        _way,
        st.builds(
            Way,
            threads=st.sampled_from([1, 2, 7]),
            budget=st.sampled_from(["least", "little", "ample"]),
            together=st.sampled_from([1, 2, 4, 64]),
            shard_size=st.sampled_from(["5GB", "5GB", "1", "700", "5000"]),
            is_compiled=st.sampled_from([False, may_compile]),
            files=st.sampled_from([1, FILES]),
            spelling=st.sampled_from(["absolute", "relative", "roundabout", "link"]),
            every=st.sampled_from([None, 1, 3000]),
            company=st.sampled_from(["alone", "together", "reversed"]),
        ),
        st.one_of(here, there) if nurseries else here,
    )


def _way(way: Way, process: tuple[int | None, tuple[Kill, ...]]) -> Way:
    return replace(way, nursery=process[0], kills=process[1])


def spelled(root: Path, spelling: Spelling) -> str:
    """The path of a folder in other words."""
    if spelling == "relative":
        return os.path.relpath(root)
    if spelling == "roundabout":
        return f"{root}/../{root.name}"
    if spelling == "link":
        link = root.with_name(f"{root.name}-link")
        if not link.is_symlink():
            link.symlink_to(root)
        return str(link)
    return str(root)


def told_by(way: Way, job: Job) -> Job:
    """A job as a way says, with a budget that it fits."""
    chosen = replace(
        job,
        threads=way.threads,
        together=way.together,
        shard_size=way.shard_size,
        is_compiled=way.is_compiled,
        every=way.every,
    )
    return replace(chosen, memory=memory_for(chosen, way.budget))


def memory_for(job: Job, budget: Budget) -> str | int:
    """The bytes that a budget comes to."""
    if budget == "ample":
        return AMPLE
    least = least_memory(job)
    return int(least * 1.4) if budget == "little" and isinstance(least, int) else least
