"""`python -m benchmarks.checks`: what it costs to look at the numbers of a merge."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from time import perf_counter, process_time

from benchmarks.family import make_family
from benchmarks.mergekit import ROOT
from benchmarks.shapes import SIZES
from benchmarks.stages import Stage, stage, write_recipe
from mergegraph.pipeline import finish
from mergegraph.plans import plan_of
from mergegraph.preparing import Prepared, prepare, ready
from mergegraph.settings import Settings

MOST = 1.05  # times the processor's seconds without checks

_THREE = ("a", "b", "c")
MERGES: dict[str, Stage] = {
    "linear": stage("linear", _THREE, weight=0.3),
    "task_arithmetic": stage("task_arithmetic", _THREE, "base", weight=0.3),
    "ties": stage("ties", _THREE, "base", weight=0.3, density=0.3),
    "slerp": stage("slerp", ("b",), "a", t=0.3),
}

Costs = tuple[float, float]  # seconds on the clock, and of the processor


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure merges with and without checks by turns; gives 1 if one costs too much."""
    options = _options(arguments)
    folder = options.folder or ROOT / "build" / "benchmarks" / options.size
    if options.folder is None:
        make_family(folder, SIZES[options.size].family)
    settings = Settings(options.memory, options.threads)
    worst = 0.0
    for name in options.merges or MERGES:
        recipe = folder / "recipes" / f"checks-{name}.yaml"
        write_recipe(recipe, [MERGES[name]], folder)
        ratio = _compare(name, recipe, options.out or folder / "out", settings, options.repeats)
        worst = max(worst, ratio)
    return int(options.strict and worst > MOST)


def _compare(name: str, recipe: Path, out: Path, settings: Settings, repeats: int) -> float:
    """The processor's time with checks as a multiple of that without, in the best of rounds."""
    rounds = []
    for number in range(repeats + 1):
        order = (True, False) if number % 2 else (False, True)
        costs = {is_checked: _measured(recipe, out, settings, is_checked) for is_checked in order}
        rounds.append((costs[True], costs[False]))
    measured = rounds[1:] or rounds  # the first one brings the inputs into the page cache
    (clock, work), (bare_clock, bare_work) = (_least(each) for each in zip(*measured, strict=True))
    ratio = work / bare_work
    told = (
        f"{ratio:.3f} of the processor ({bare_work:.2f} s), {clock / bare_clock:.3f} on the clock"
    )
    print(f"{name:16} {told}")
    return ratio


def _least(costs: Sequence[Costs]) -> Costs:
    """The smallest of each: what was disturbed the least."""
    clocks, works = zip(*costs, strict=True)
    return min(clocks), min(works)


def _measured(recipe: Path, out: Path, settings: Settings, is_checked: bool) -> Costs:  # noqa: FBT001
    rmtree(out, ignore_errors=True)
    prepared = prepare([recipe], out=out, settings=settings)
    if not is_checked:
        prepared = _without_checks(prepared)
    began, worked = perf_counter(), process_time()
    finish(prepared)
    costs = perf_counter() - began, process_time() - worked
    rmtree(out)
    return costs


def _without_checks(prepared: Prepared) -> Prepared:
    bare = plan_of(prepared.plan.outputs, ())
    plan = replace(prepared.plan, checks=(), portions=bare.portions, families=())
    return ready(plan, prepared.plugins, prepared.settings)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.checks",
        description="Compare merges that look at their numbers with such as do not.",
    )
    add = parser.add_argument
    add("--size", choices=SIZES, default="quick", help="how large the models are")
    add("--merges", nargs="+", choices=MERGES, default=[], help="some of them")
    add("--repeats", type=int, default=7, help="rounds; the fastest counts")
    add("--memory", default="512MiB", help="the budget")
    add("--threads", type=int, default=2, help="workers")
    add("--folder", type=Path, help="a family of models that there is: base, a, b, c")
    add("--out", type=Path, help="where results are written and removed")
    add("--strict", action="store_true", help=f"exit with 1 if one takes over {MOST} times")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
