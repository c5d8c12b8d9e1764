"""What a process took: wall and CPU time, peak memory, bytes read and written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ALONE = (sys.executable, "-I", "-S")  # an interpreter with nothing but itself
_LAUNCH = Path(__file__).with_name("launch.py")


class ProcessError(Exception):
    """A measured process did not end well; the text says what it last said."""


@dataclass(frozen=True)
class Usage:
    """Seconds and bytes of one process, or of several one after another."""

    wall: float
    cpu: float
    peak: int
    read: int | None = None  # not every system tells
    written: int | None = None

    def then(self, later: Usage) -> Usage:
        """This, and something after it."""
        return Usage(
            self.wall + later.wall,
            self.cpu + later.cpu,
            max(self.peak, later.peak),
            _sum(self.read, later.read),
            _sum(self.written, later.written),
        )


def measure(command: Sequence[str], *, folder: Path, log: Path) -> Usage:
    """Run a command in a folder, its output to a log; raises ProcessError if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [*ALONE, str(_LAUNCH), str(log), *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ProcessError(_last_line(done.stderr))
    told = json.loads(done.stdout)
    if status := told.pop("status"):
        said = _last_line(log.read_text(encoding="utf-8", errors="replace"))
        raise ProcessError(f"exit status {status}: {said}")
    return Usage(**told)


def median_usage(usages: Sequence[Usage]) -> Usage:
    """The median of each quantity by itself."""
    return Usage(
        median(each.wall for each in usages),
        median(each.cpu for each in usages),
        round(median(each.peak for each in usages)),
        _median([each.read for each in usages]),
        _median([each.written for each in usages]),
    )


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def _median(counts: Sequence[int | None]) -> int | None:
    known = [each for each in counts if each is not None]
    return round(median(known)) if len(known) == len(counts) else None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
