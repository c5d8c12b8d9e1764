"""Trials by others: the campaign of faults, and of bad input where it is installed, counted."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
_CAMPAIGN = ROOT / "tests" / "faults" / "campaign.py"
_COUNTS = re.compile(r"\d+ faults: (\{.*\}); did not hold: 0")


_LINE = re.compile(
    r"^(\S+) \((.*)\): (\d+) executions in (\d+) s(?:, (\d+) edges covered)?, (\d+) "
)


class FaultError(AssertionError):
    """A law that did not hold after a fault."""


def try_faults(*, seed: int, every: int) -> Counter[str]:
    """Try all faults of the table, and of all calls one in so many; how many of each kind."""
    given = ["--first", str(seed), "--every", str(every)]
    done = subprocess.run(
        [sys.executable, str(_CAMPAIGN), *given],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(_CAMPAIGN.parent)},
    )
    told = _COUNTS.search(done.stdout)
    if told is None:
        raise FaultError(f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return Counter(ast.literal_eval(told[1]))


def try_fuzzing(*, minutes: float) -> list[tuple[str, ...]]:
    """Attack every reader in equal parts of the time: name, subject, executions, edges covered.

    Raises FaultError if one of them gives way, or if the package that attacks them is not there.
    """
    listed = subprocess.run(
        [sys.executable, "-c", "from fuzzing.targets import TARGETS; print(len(TARGETS))"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if listed.returncode:
        raise FaultError("there is no package `fuzzing` here")
    seconds = max(1, int(60 * minutes / int(listed.stdout)))
    mode = [] if find_spec("atheris") else ["--blind"]
    done = subprocess.run(
        [sys.executable, "-m", "fuzzing", "--seconds", str(seconds), *mode],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise FaultError(f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
    lines = [found for line in done.stdout.splitlines() if (found := _LINE.match(line))]
    return [(each[1], each[2], each[3], each[5] or "not followed") for each in lines]
