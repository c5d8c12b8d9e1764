"""The judge: a file is read, or refused in one clear sentence, and nothing else happens."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from fuzzing.targets import Target
from fuzzing.watching import Watch
from mergegraph.errors import MergeGraphError, ProblemsError

SLOWEST = 10.0  # seconds of a core that no file of a few kilobytes may take
_LONGEST = 4000  # letters of a line


class Fault(Exception):  # noqa: N818 - what is found, not what failed
    """What a reader did that it should not; `place` is where, to tell one fault from another."""

    def __init__(self, fact: str, place: str) -> None:
        super().__init__(fact)
        self.place = place


@dataclass(frozen=True)
class Verdict:
    """What became of a file: what was said of it if it was refused, and how long that took."""

    refusal: str | None
    seconds: float


def judged(target: Target, data: bytes, folder: Path, watch: Watch) -> Verdict:
    """Have a target read a file; raises Fault if that went as it should not."""
    began = time.process_time()
    refusal = None
    with watch.over(folder) as seen:
        try:
            target.read(folder, data)
        except MergeGraphError as error:
            refusal = str(error)
            _check_words(error)
        except Fault:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise Fault(f"{type(error).__name__}: {error}", _place_of(error)) from error
    if seen:
        raise Fault(f"reading it did {seen[0]}", seen[0][:40])
    seconds = time.process_time() - began
    if seconds > SLOWEST:
        raise Fault(f"reading it took {seconds:.1f} s", "time")
    return Verdict(refusal, seconds)


def _check_words(error: MergeGraphError) -> None:
    """One line for each problem, that says something and steers no terminal."""
    lines = str(error).split("\n")
    most = len(error.problems) if isinstance(error, ProblemsError) else 1
    if len(lines) > most:
        raise Fault(f"the message has {len(lines)} lines: {str(error)[:200]!r}", _place_of(error))
    for line in lines:
        if not line.isprintable() or not line.strip():
            raise Fault(f"cannot be printed: {line[:200]!r}", _place_of(error))
        if len(line) > _LONGEST:
            fact = f"the message has {len(line)} letters: {line[:100]!r}"
            raise Fault(fact, _place_of(error))


def _place_of(error: BaseException) -> str:
    """The last line of ours that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if "mergegraph" in each.filename] or list(frames)
    last = ours[-1]
    return f"{type(error).__name__} {Path(last.filename).name}:{last.name}:{last.line}"
