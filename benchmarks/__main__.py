"""`python -m benchmarks`: measure, judge, and tell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.judge import Judgement, judge
from benchmarks.measuring import Request, measure_rows
from benchmarks.mergekit import ROOT, MissingError, find_mergekit
from benchmarks.page import PICTURE, page_text
from benchmarks.picture import draw_picture
from benchmarks.rows import Row, chosen_rows, make_rows
from benchmarks.series import Results, read_results, write_results
from benchmarks.shapes import SIZES
from benchmarks.table import Table, judged_table, measured_table
from mergegraph.machine import parse_size

RESULTS = "results.json"

_WIDTH = 110


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; gives the exit status."""
    console = _console()
    options = _options(arguments)
    every_row = make_rows(parse_size(options.memory, "--memory"))
    if unknown := set(options.rows) - set(every_row):
        console.print(f"no row {', '.join(sorted(unknown))}; there are {', '.join(every_row)}")
        return 2
    rows = chosen_rows(every_row, options.rows)
    results = _results(rows, options, console)
    judgements = [each for row in rows for each in judge(row.name, row.targets, results.medians)]
    _show(console, measured_table(rows, results), judged_table(judgements))
    if options.size != "full":
        console.print("The targets are set for the full size.")
    if options.write:
        _write(console, options.write, rows, results, judgements)
    return _status(results, judgements, is_strict=options.strict)


def _console() -> Console:
    """A terminal that is wide enough for the tables, or taken to be."""
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    return console


def _results(rows: list[Row], options: argparse.Namespace, console: Console) -> Results:
    """What is measured now, and kept; or what was kept the last time."""
    folder = options.folder.resolve() / options.size
    if options.again:
        return read_results(folder / RESULTS)
    request = Request(
        size=options.size,
        repeats=options.repeats,
        mergekit_repeats=options.mergekit_repeats,
        memory=options.memory,
        threads=options.threads,
        folder=folder,
        mergekit_rows=tuple(options.mergekit_rows),
        mergekit=None if options.no_mergekit else _mergekit(options.mergekit, console),
    )
    results = measure_rows(rows, request, console)
    write_results(folder / RESULTS, results)
    return results


def _mergekit(given: Path | None, console: Console) -> Path | None:
    try:
        with console.status("looking for mergekit, or installing it"):
            return find_mergekit(given)
    except MissingError as error:
        console.print(f"without mergekit: {error}", markup=False)
        return None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure whole merges, by mergegraph and mergekit, and judge them.",
    )
    add = parser.add_argument
    add("--size", choices=SIZES, default="quick", help="how large the models are")
    add("--rows", nargs="+", default=[], metavar="NAME", help="some rows, not all")
    add("--repeats", type=int, default=3, help="rounds; the median counts")
    add("--mergekit-repeats", type=int, default=1, help="rounds in which mergekit takes part")
    add("--mergekit-rows", nargs="+", default=[], metavar="NAME", help="in which it takes part")
    add("--memory", default="512MiB", help="the budget of mergegraph")
    add("--threads", type=int, default=2, help="of mergegraph and mergekit")
    add("--folder", type=Path, default=ROOT / "build" / "benchmarks", help="for models and results")
    add("--mergekit", type=Path, metavar="DIR", help="the folder of mergekit's commands")
    add("--no-mergekit", action="store_true", help="leave mergekit out")
    add("--again", action="store_true", help="measure nothing: tell the last results again")
    add("--write", type=Path, metavar="DIR", help="write performance.md and its picture there")
    add("--strict", action="store_true", help="exit with 1 if a target is missed")
    return parser.parse_args(arguments)


def _show(console: Console, *tables: Table) -> None:
    for each in tables:
        console.print(each.for_terminal())


def _write(
    console: Console,
    folder: Path,
    rows: list[Row],
    results: Results,
    judgements: Sequence[Judgement],
) -> None:
    picture = folder / PICTURE
    try:
        draw_picture(picture, rows, results.medians)
    except ImportError:
        picture.unlink(missing_ok=True)
        console.print("no picture: matplotlib is not installed (the extra `plots` brings it)")
    text = page_text(rows, results, judgements, has_picture=picture.exists())
    (folder / "performance.md").write_text(text, encoding="utf-8")


def _status(results: Results, judgements: Sequence[Judgement], *, is_strict: bool) -> int:
    has_failed = any(each.failure for each in results.series)
    has_missed = any(each.is_missed for each in judgements)
    return int(has_failed or (is_strict and has_missed))


if __name__ == "__main__":
    sys.exit(main())
