"""`python -m benchmarks.candidates`: what many merges of the same models cost a search."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from time import perf_counter
from types import MappingProxyType

from benchmarks.family import make_family
from benchmarks.mergekit import ROOT
from benchmarks.process import measure
from benchmarks.shapes import SIZES
from mergegraph import Candidate, evaluator
from mergegraph.plugins import installed_plugins
from mergegraph.search.compiling import Asked
from mergegraph.search.examining import Examination
from mergegraph.search.laboratory import Laboratory
from mergegraph.settings import Settings

MOST = 1 / 3  # of the time of as many runs
_THREE = ("a", "b", "c")
_TEXTS: Mapping[str, str] = {
    "linear": "merge_method: linear\n",
    "task_arithmetic": "merge_method: task_arithmetic\nbase_model: {base}\n",
    "ties": "merge_method: ties\nbase_model: {base}\nparameters: {{density: {density}}}\n",
}


@evaluator(main="tensors")
def counting(model: Candidate, data: str) -> Mapping[str, float]:  # noqa: ARG001
    """How many tensors there are: an examination that costs nothing."""
    return {"tensors": len(model.tensors)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make candidates, and a few of them by separate runs; gives 1 if the former take too long."""
    options = _options(arguments)
    folder = options.folder or ROOT / "build" / "benchmarks" / options.size
    if options.folder is None:
        make_family(folder, SIZES[options.size].family)
    worst = 0.0
    for method in options.methods:
        asked = [_asked(method, i, folder) for i in range(options.candidates)]
        together = _searched(asked, folder, options)
        alone = _run(asked[:: max(1, len(asked) // options.runs)][: options.runs], folder, options)
        ratio = together / (alone * len(asked))
        worst = max(worst, ratio)
        print(
            f"{method:16} {len(asked)} candidates {together:.1f} s, a run {alone:.2f} s: "
            f"{ratio:.3f} of {len(asked)} runs"
        )
    return int(options.strict and worst > MOST)


def _asked(method: str, number: int, folder: Path) -> Asked:
    """A recipe like the others, with weights and a density of its own."""
    lines = [
        f"- {{model: {folder / name}, parameters: {{weight: {0.2 + 0.01 * number + 0.1 * i:.4f}}}}}"
        for i, name in enumerate(_THREE)
    ]
    head = _TEXTS[method].format(base=folder / "base", density=round(0.2 + 0.01 * number, 4))
    text = "\n".join(["dtype: bfloat16", f"{head}models:", *lines, ""])
    return Asked(f"candidate-{number}", text)


def _searched(asked: Sequence[Asked], folder: Path, options: argparse.Namespace) -> float:
    """Seconds to make all in memory and look at each."""
    exam = Examination(counting, "none", MappingProxyType({}), "benchmarks 1")
    settings = Settings(memory=options.memory, threads=options.threads)
    began = perf_counter()
    with Laboratory(installed_plugins(), settings, scratch=folder / "scratch") as laboratory:
        outcomes = laboratory.scores(asked, exam)
    seconds = perf_counter() - began
    assert all(each.problem is None and not each.is_repeated for each in outcomes)
    return seconds


def _run(asked: Sequence[Asked], folder: Path, options: argparse.Namespace) -> float:
    """Seconds of a run that writes one of them, in a process of its own: the mean of some."""
    seconds = 0.0
    for each in asked:
        recipe, out = folder / f"{each.name}.yaml", folder / "out-of-run"
        recipe.write_text(each.text)
        rmtree(out, ignore_errors=True)
        more = ["--threads", str(options.threads), "--memory", options.memory, "--quiet"]
        command = [sys.executable, "-m", "mergegraph", "run", str(recipe), "--out", str(out)]
        seconds += measure([*command, *more], folder=folder, log=folder / "run.log").wall
        rmtree(out)
    return seconds / len(asked)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.candidates",
        description="Compare candidates of a search with as many runs, examinations apart.",
    )
    add = parser.add_argument
    add("--size", choices=SIZES, default="quick", help="how large the models are")
    add("--methods", nargs="+", choices=_TEXTS, default=list(_TEXTS), help="some of them")
    add("--candidates", type=int, default=50, help="of a search")
    add("--runs", type=int, default=5, help="of these that are run alone, too")
    add("--memory", default="4GiB", help="the budget")
    add("--threads", type=int, default=2, help="workers")
    add("--folder", type=Path, help="a family of models that there is: base, a, b, c")
    add("--strict", action="store_true", help=f"exit with 1 beyond {MOST:.2f} of the runs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
