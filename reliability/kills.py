"""Kills: runs ended by SIGKILL at any instant, which go on otherwise and end in the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic

from mergegraph.writing.found import partial_path
from mergegraph.writing.journal import JOURNAL
from reliability.jobs import Job
from reliability.meter import counted
from reliability.nursery import Child, Nursery
from reliability.sameness import Content, content_of
from reliability.scenes import SCENES, Scene, write_scene

_MOST = 4  # kills of one result
_OF_MANY = 8  # results, one is made by the command itself, and one in the place of another


class LostError(AssertionError):
    """Work that was lost, mixed up, or looked whole when it was not."""


@dataclass(frozen=True)
class Known:
    """A scene with what it comes to if nobody kills it."""

    scene: Scene
    given: tuple[str, ...]
    contents: tuple[Content, ...]
    seconds: float
    read: int
    written: int


@dataclass
class Score:
    """What came of the rounds of one scene."""

    results: int = 0
    kills: int = 0
    damaged: int = 0
    by_command: int = 0
    replaced: int = 0
    written_again: list[float] = field(default_factory=list)  # MiB for each kill
    read_again: list[float] = field(default_factory=list)
    written: float = 0.0  # MiB of a run that nobody kills
    read: float = 0.0

    def middle(self, values: Sequence[float]) -> float:
        """The median of what there is."""
        return median(values) if values else 0.0


@dataclass
class Chain:
    """The runs for one result, which is made in the place of an older one or not."""

    known: Known
    by_command: bool = False
    replaces: bool = False
    old: tuple[Content, ...] = ()
    kills: int = 0
    damages: int = 0


class Ring:
    """Where runs are killed."""

    def __init__(self, folder: Path, nursery: Nursery, seed: int) -> None:
        self.folder = folder
        self.nursery = nursery
        self.random = Random(seed)
        self.scores: dict[str, Score] = {}
        self._known: dict[str, Known] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def out(self) -> Path:
        """Where results go."""
        return self.folder / "out"

    def round(self, scene: Scene) -> None:
        """Make one result with a few kills; raises LostError if anything is not as it should be."""
        known = self.known(scene)
        self._clear()
        chain = self._chain(known)
        for _ in range(self.random.randint(1, _MOST)):
            self._run_and_kill(chain)
            if all(self._is_new(each, i, known) for i, each in enumerate(self._results(known))):
                break
            chain.damages += self._damage(known)
        child = self._started(chain)
        if child.status():
            raise LostError(f"{scene.name}: the last run failed: {child.words()}")
        self._check_result(known)
        self._note(chain)

    def _chain(self, known: Known) -> Chain:
        """How the next result is made: by which process, and in the place of another or not."""
        scene = known.scene
        can_be_command = scene.kind == "run" and scene.every is None
        by_command = can_be_command and self.random.randrange(_OF_MANY) == 0
        replaces = scene.kind == "run" and self.random.randrange(_OF_MANY) == 0
        chain = Chain(known, by_command=by_command, replaces=replaces)
        if replaces:
            chain.old = self._older(known)
        return chain

    def _older(self, known: Known) -> tuple[Content, ...]:
        """The results of other recipes, in the places of those that are to come."""
        made = replace(self._job(known), restart=True, meter="", seed=1)
        child = self.nursery.start(made)
        if child.status():
            raise LostError(f"{known.scene.name}: cannot be made by another seed: {child.words()}")
        return tuple(content_of(each) for each in self._results(known))

    def _started(self, chain: Chain) -> Child | Command:
        job = replace(self._job(chain.known), restart=chain.replaces)
        return Command(job) if chain.by_command else self.nursery.start(job)

    def _run_and_kill(self, chain: Chain) -> None:
        """One run, ended at some instant."""
        known = chain.known
        child = self._started(chain)
        if self._is_alive_then(child, known, by_command=chain.by_command):
            child.kill()
            chain.kills += 1
        if (status := child.status()) not in (0, -signal.SIGKILL):
            fact = f"a run failed with {status}: {child.words()}"
            raise LostError(f"{known.scene.name}: {fact}")
        for i, place in enumerate(self._results(known)):
            is_old = bool(chain.old) and _is_result(place, chain.old[i])
            if place.exists() and not is_old and not self._is_new(place, i, known):
                raise LostError(f"{place}: looks whole and is not")

    def _is_new(self, place: Path, number: int, known: Known) -> bool:
        return place.exists() and _is_result(place, known.contents[number])

    def known(self, scene: Scene) -> Known:
        """What a scene comes to, found once."""
        if scene.name not in self._known:
            self._clear()
            given = write_scene(scene, self.folder / "models")
            job = self._metered(Job(scene.kind, given, str(self.out), threads=2), scene)
            began = monotonic()
            child = self.nursery.start(job)
            if child.status():
                raise LostError(f"{scene.name}: cannot be made: {child.words()}")
            seconds = monotonic() - began
            contents = tuple(content_of(each) for each in job.results())
            counts = counted(Path(job.meter))
            self._known[scene.name] = Known(scene, given, contents, seconds, *counts)
        return self._known[scene.name]

    def _metered(self, job: Job, scene: Scene) -> Job:
        meter, said = (str(self.folder / each) for each in ("meter", "said"))
        return replace(job, strip=scene.strip, every=scene.every, meter=meter, said=said)

    def _clear(self) -> None:
        for each in self.folder.glob("out*"):
            shutil.rmtree(each, ignore_errors=True)
        (self.folder / "meter").unlink(missing_ok=True)

    def _job(self, known: Known) -> Job:
        """The job, with a budget and threads of the moment."""
        job = Job(
            known.scene.kind,
            known.given,
            str(self.out),
            memory=self.random.choice(known.scene.memories),
            threads=self.random.choice([1, 2, 7]),
        )
        return self._metered(job, known.scene)

    def _is_alive_then(self, child: Child | Command, known: Known, *, by_command: bool) -> bool:
        """Wait for an instant to kill: some time after the start, or when so much is done."""
        if by_command or self.random.randrange(3) == 0:
            return not child.ended(self._instant(known, by_command=by_command))
        total = known.read + known.written
        point = self._done() + self.random.random() * max(1, total - self._done())
        while not child.ended(0.0002):
            if self._done() >= point:
                return not child.ended(self.random.random() * 0.02)
        return False

    def _done(self) -> int:
        """The bytes read and computed so far, of all runs for this result."""
        meter = self.folder / "meter"
        return sum(counted(meter)) if meter.exists() else 0

    def _instant(self, known: Known, *, by_command: bool) -> float:
        """When to kill: anywhere in a run, and more often near its end than chance would."""
        start = 1.5 if by_command else 0.0
        if self.random.randrange(6) == 0:
            return start + known.seconds * self.random.uniform(0.8, 1.3)
        return self.random.uniform(0, start + known.seconds * 0.9)

    def _check_result(self, known: Known) -> None:
        for place, content in zip(self._results(known), known.contents, strict=True):
            differing = content.differences(content_of(place), is_placed_alike=True)
            if differing:
                raise LostError(f"{known.scene.name}: {', '.join(differing[:9])} differ")
            if partial_path(place).exists() or (place / JOURNAL).exists():
                raise LostError(f"{place}: something is left of the work")

    def _results(self, known: Known) -> list[Path]:
        return Job(known.scene.kind, known.given, str(self.out)).results()

    def _damage(self, known: Known) -> int:
        """Damage a journal, now and then, as a crash of the machine might."""
        journals = [partial_path(each) / JOURNAL for each in self._results(known)]
        there = [each for each in journals if each.is_file()]
        if not there or self.random.randrange(3):
            return 0
        damage(self.random.choice(there), self.random)
        return 1

    def _note(self, chain: Chain) -> None:
        """Count what was done; what was done again only where a meter tells."""
        known = chain.known
        score = self.scores.setdefault(known.scene.name, Score())
        score.read, score.written = known.read / 2**20, known.written / 2**20
        score.results += 1
        score.kills += chain.kills
        score.damaged += chain.damages
        score.by_command += chain.by_command
        score.replaced += chain.replaces
        is_plain = not (chain.damages or chain.by_command or chain.replaces)
        if is_plain and chain.kills:
            read, written = counted(self.folder / "meter")
            score.written_again.append((written - known.written) / chain.kills / 2**20)
            score.read_again.append((read - known.read) / chain.kills / 2**20)


def damage(journal: Path, random: Random) -> None:
    """Tear the last line of a journal, cut it anywhere, or put garbage behind it."""
    data = journal.read_bytes()
    way = random.randrange(4)
    if way == 0:
        data = data[: random.randrange(len(data) + 1)]
    elif way == 1:
        data += random.choice(data.splitlines(keepends=True) or [b"{}\n"])[:-2]
    elif way == 2:
        data += random.randbytes(random.randrange(1, 200))
    else:
        data = data[: -random.randrange(1, 40)] + b"\0" * random.randrange(40)
    journal.write_bytes(data)


def _is_result(place: Path, content: Content) -> bool:
    try:
        return not content.differences(content_of(place), is_placed_alike=True)
    except (OSError, ValueError, KeyError):
        return False


class Command:
    """`mergegraph run` at work, with what a child of a nursery can do."""

    def __init__(self, job: Job) -> None:
        more = ["--quiet", *(["--restart"] if job.restart else [])]
        words = ["run", *job.given, "--out", job.out, "--threads", str(job.threads)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mergegraph", *words, "--memory", str(job.memory), *more],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": "random"},
        )
        self._words = ""

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def ended(self, seconds: float | None = None) -> bool:
        """Wait until it is at its end, or for so long."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def status(self) -> int:
        """Its exit status."""
        self._words = self._process.communicate()[1]
        return self._process.returncode

    def words(self) -> str:
        """What it said."""
        return self._words


def try_kills(
    folder: Path,
    nursery: Nursery,
    *,
    minutes: float,
    seed: int,
    scenes: Sequence[Scene] = SCENES,
    rounds: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Score]:
    """Kill for so long, or so many rounds."""
    end = monotonic() + 60 * minutes
    ring = Ring(folder, nursery, seed)
    line = [scene for scene in scenes for _ in range(scene.weight)]
    done = 0
    while monotonic() < end and (rounds is None or done < rounds):
        scene = ring.random.choice(line) if done >= len(scenes) else scenes[done]
        ring.round(scene)
        done += 1
        tell(f"{done} {scene.name}: {ring.scores[scene.name]}")
    shutil.rmtree(folder, ignore_errors=True)
    return ring.scores
