"""`python -m benchmarks.kinship`: kinship of four models and their base, set against reading."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile
from statistics import median
from time import perf_counter

from benchmarks.family import MODELS, WEIGHTS, make_family
from benchmarks.floor import BLOCK, read
from benchmarks.judge import MIB
from benchmarks.mergekit import ROOT
from benchmarks.process import measure
from benchmarks.shapes import SIZES
from mergegraph.kinship.measuring import Survey, survey
from mergegraph.kinship.measuring import measure as measure_kinship
from mergegraph.kinship.members import Request
from mergegraph.settings import Settings

MOST = 1.5  # times reading the five once
_FOURTH = "d"  # a copy of the last model: files of the same size, read for themselves


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure reading and kinship by turns; gives 1 if the latter takes too long."""
    options = _options(arguments)
    folder = options.folder or ROOT / "build" / "benchmarks" / options.size
    if options.folder is None:
        make_family(folder, SIZES[options.size].family)
    names = [*MODELS, _copied(folder, options.out or folder)]
    files = [folder / name / WEIGHTS for name in names]
    buffer = bytearray(BLOCK)
    for path in files:  # brings the inputs into the page cache
        read(path, buffer)
    base, *models = (str(path.parent.resolve()) for path in files)
    request = Request(base, tuple(models), None)
    made = survey(request, Settings(memory=options.memory, threads=options.threads))
    measure_kinship(made)  # imports and compiles what a process needs once
    rounds = [_round(files, buffer, made, options) for _ in range(options.repeats)]
    floor, inside, whole, peak = (median(each) for each in zip(*rounds, strict=True))
    print(f"reading {sum(p.stat().st_size for p in files) / 1e9:.2f} GB: {floor:.2f} s")
    print(f"measuring: {inside:.2f} s, {inside / floor:.2f} × reading")
    print(f"a whole process, with its start: {whole:.2f} s, {peak / MIB:.0f} MiB")
    return int(options.strict and inside > MOST * floor)


def _copied(folder: Path, place: Path) -> str:
    """The fourth model, made if it is not there; gives its name, or its path."""
    made = place / _FOURTH
    made.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", WEIGHTS):
        if not (made / name).exists():
            copyfile(folder / MODELS[-1] / name, made / name)
    return str(made.resolve())


def _round(
    files: Sequence[Path], buffer: bytearray, made: Survey, options: argparse.Namespace
) -> tuple[float, float, float, int]:
    """Seconds of reading, of measuring and of a whole process, and its peak in bytes."""
    began = perf_counter()
    for path in files:
        read(path, buffer)
    floor = perf_counter() - began
    began = perf_counter()
    measure_kinship(made)
    inside = perf_counter() - began
    base, *models = (str(path.parent.resolve()) for path in files)
    limits = ["--memory", options.memory, "--threads", str(options.threads), "--quiet"]
    command = [sys.executable, "-m", "mergegraph", "kinship", "--base", base, *models, *limits]
    log = files[-1].parent / "kinship.log"
    usage = measure(command, folder=log.parent, log=log)
    log.unlink()
    return floor, inside, usage.wall, usage.peak


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kinship",
        description="Compare kinship of four models and a base with reading the five once.",
    )
    add = parser.add_argument
    add("--size", choices=SIZES, default="quick", help="how large the models are")
    add("--repeats", type=int, default=3, help="rounds; the median counts")
    add("--memory", default="512MiB", help="the budget")
    add("--threads", type=int, default=2, help="workers")
    add("--folder", type=Path, help="a family of models that there is: base, a, b, c")
    add("--out", type=Path, help="where the fourth model is put, if not beside them")
    add("--strict", action="store_true", help=f"exit with 1 if it takes over {MOST} times")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
