"""`python -m fuzzing TARGET --seconds N`: attack a reader, and tell what was found."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from random import Random

from fuzzing.corpus import keep, kept
from fuzzing.guided import Figures, campaign
from fuzzing.judging import Fault, judged
from fuzzing.mutations import mutated
from fuzzing.targets import TARGETS, Target
from fuzzing.watching import Watch
from mergegraph.errors import MergeGraphError


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack what was asked for; gives the exit status."""
    warnings.simplefilter("ignore")
    options = _options(arguments)
    if unknown := set(options.targets) - TARGETS.keys():
        print(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
        return 2
    chosen = [TARGETS[name] for name in options.targets or TARGETS]
    watch = Watch()
    found = 0
    for target in chosen:
        try:
            figures = _attacked(target, options, watch)
        except MergeGraphError as error:
            print(error)
            return 2
        found += len(figures.faults)
        print(_line(target, figures), *(f"  {each}" for each in figures.faults), sep="\n")
    return 1 if found else 0


def _attacked(target: Target, options: argparse.Namespace, watch: Watch) -> Figures:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        target.lay(folder)
        if options.replay:
            return replayed(target, folder, watch)
        if options.blind:
            return blind(target, options.seconds, folder, watch)
        home = options.faults / target.name if options.faults else folder / "campaign"
        figures = campaign(target.name, options.seconds, home)
        if options.keep:
            files = (path.read_bytes() for path in (home / "corpus").iterdir())
            keep(target, files, folder, watch)
        return figures


def replayed(target: Target, folder: Path, watch: Watch) -> Figures:
    """Read what is kept of a target, and its sound files."""
    began = time.monotonic()
    inputs = [*target.samples(), *(data for _, data in kept(target))]
    faults = [fault for data in inputs if (fault := _fault(target, data, folder, watch))]
    return Figures(len(inputs), time.monotonic() - began, 0, tuple(faults))


def blind(target: Target, seconds: float, folder: Path, watch: Watch, seed: int = 0) -> Figures:
    """Read files changed at random for a time, without following coverage."""
    random = Random(seed)
    inputs = [*target.samples(), *(data for _, data in kept(target))]
    for data in inputs:
        _fault(target, data, folder, watch)  # what is imported late is imported now
    faults: dict[str, None] = {}
    count, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        data = mutated(target.mutate, random.choice(inputs), inputs, random)
        if fault := _fault(target, data, folder, watch):
            faults[fault] = None
        count += 1
    return Figures(count, time.monotonic() - began, 0, tuple(faults))


def _fault(target: Target, data: bytes, folder: Path, watch: Watch) -> str | None:
    try:
        judged(target, data, folder, watch)
    except Fault as fault:
        return f"{fault.place}: {str(fault)[:300]}"
    return None


def _line(target: Target, figures: Figures) -> str:
    covered = f", {figures.covered} edges covered" if figures.covered else ""
    faults = f"{len(figures.faults)} faults"
    spent = f"{figures.executions} executions in {figures.seconds:.0f} s"
    return f"{target.name} ({target.about}): {spent}{covered}, {faults}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzzing", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all without any")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--replay", action="store_true", help="read the corpus, and no more")
    parser.add_argument("--blind", action="store_true", help="without atheris and coverage")
    parser.add_argument("--keep", action="store_true", help="keep what is new in the corpus")
    parser.add_argument("--faults", type=Path, help="folder for what is found")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
