"""Rivals: two runs on one output at once, by one path or by two, one of them killed at times."""

from __future__ import annotations

import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from time import monotonic, sleep

from mergegraph.writing.found import partial_path
from reliability.jobs import Job
from reliability.kills import LostError
from reliability.nursery import Child, Nursery
from reliability.sameness import Content, content_of
from reliability.scenes import SCENES, Scene, write_scene

_PATH = re.compile(r"/\S+: | \(process \d+ on \S+\)")
RIVAL_SCENES = tuple(
    each for each in SCENES if each.name in {"dare_ties", "small, every strip noted, ties"}
)


@dataclass
class Outcome:
    """What came of rivals."""

    rounds: int = 0
    kills: int = 0
    both_done: int = 0
    words: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Prize:
    """What rivals are after: a job, what it comes to, and how long it takes alone."""

    job: Job
    content: Content
    seconds: float


def try_rivals(
    folder: Path,
    nursery: Nursery,
    *,
    minutes: float,
    seed: int,
    rounds: int | None = None,
    scenes: Sequence[Scene] = RIVAL_SCENES,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Set runs on one output against each other, for so long or so many rounds."""
    end = monotonic() + 60 * minutes
    random, outcome = Random(seed), Outcome()
    folder.mkdir(parents=True, exist_ok=True)
    prizes = [_prize(folder, nursery, scene) for scene in scenes]
    while monotonic() < end and (rounds is None or outcome.rounds < rounds):
        prize = prizes[outcome.rounds % len(prizes)]
        _round(folder, prize, nursery, random, outcome)
        if prize.content.differences(content_of(folder / "out"), is_placed_alike=False):
            raise LostError("rivals came to other bytes")
        outcome.rounds += 1
        tell(f"{outcome}")
    shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _prize(folder: Path, nursery: Nursery, scene: Scene) -> Prize:
    """A scene, done once by one run."""
    shutil.rmtree(folder / "plain", ignore_errors=True)
    given = write_scene(scene, folder / "models")
    job = Job("run", given, str(folder / "plain"), said=str(folder / "said"))
    job = replace(job, strip=scene.strip, every=scene.every)
    began = monotonic()
    child = nursery.start(job)
    if child.status():
        raise LostError(f"{scene.name}: cannot be made: {child.words()}")
    return Prize(job, content_of(folder / "plain"), monotonic() - began)


def _round(folder: Path, prize: Prize, nursery: Nursery, random: Random, outcome: Outcome) -> None:
    """Two at once, and a third after them that finds the result or ends the work."""
    for each in (folder / "out", partial_path(folder / "out")):
        shutil.rmtree(each, ignore_errors=True)
    places = [folder / "out", _linked(folder) / "out"]
    first = replace(prize.job, out=str(places[0]), threads=2, said=str(folder / "said-0"))
    place = str(random.choice(places))
    restart = random.randrange(4) == 0
    second = replace(first, out=place, restart=restart, said=str(folder / "said-1"))
    one = nursery.start(first)
    sleep(random.uniform(0, prize.seconds))
    other = nursery.start(second)
    if random.randrange(2):
        sleep(random.uniform(0, prize.seconds))
        outcome.kills += _killed(random.choice([one, other]))
    statuses = [_status(each, outcome) for each in (one, other)]
    outcome.both_done += statuses == [0, 0]
    if 0 not in statuses and -signal.SIGKILL not in statuses:
        raise LostError("both runs refused")
    last = nursery.start(replace(first, said=str(folder / "said-2")))
    if last.status():
        raise LostError(f"after rivals: {last.words()}")


def _linked(folder: Path) -> Path:
    link = folder.with_name(f"{folder.name}-link")
    if not link.is_symlink():
        link.symlink_to(folder)
    return link


def _killed(child: Child) -> int:
    if child.ended(0):
        return 0
    child.kill()
    return 1


def _status(child: Child, outcome: Outcome) -> int:
    """The status of a run; that it refuses must be said as users are told, and is counted."""
    status = child.status()
    if status not in (0, 1, 2, -signal.SIGKILL):
        raise LostError(f"a rival failed with {status}: {child.words()}")
    if status in (1, 2):
        outcome.words[_PATH.sub("", child.words())] += 1
    return status
