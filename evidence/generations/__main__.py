"""`python -m evidence.generations`: train, breed, examine, and tell."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from evidence.generations.measuring import Extent, measured, read_measured, write_measured
from evidence.generations.page import PAGE, page_text, tables
from mergegraph.errors import MergeGraphError
from mergegraph.machine import usable_cores

ROOT = Path(__file__).parents[2]
SHORT = Extent(seeds=1, problems=40, rounds=1, steps=2, pace=20, few=2, many=4)
_MEASURED = "measured.json"
_WIDTH = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; gives the exit status."""
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    options = _options(arguments)
    extent = SHORT if options.short else Extent(seeds=options.seeds, problems=options.problems)
    folder = options.folder.resolve() / ("short" if options.short else "full")
    path = folder / _MEASURED
    found = read_measured(path, extent) if options.again else {}
    began = time.monotonic()
    try:
        with console.status("training") as status:
            measured(folder, extent, options.processes, found=found, on_done=status.update)
    except MergeGraphError as error:
        console.print(str(error), markup=False)
        return 2
    finally:
        write_measured(path, extent, found)
    for name, table in tables(found, extent).items():
        console.print(f"\n{name}")
        console.print(table.for_terminal())
    console.print(f"\nin {time.monotonic() - began:.0f} s")
    if options.write:
        (options.write / PAGE).write_text(page_text(found, extent), encoding="utf-8")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m evidence.generations",
        description="Measure what generations, soups and rounds come to on the demo family.",
    )
    add = parser.add_argument
    add("--seeds", type=int, default=Extent.seeds, help="families that are trained")
    add("--problems", type=int, default=Extent.problems, help="of each skill, in each half")
    add("--processes", type=int, default=usable_cores(), help="that work at the same time")
    add("--folder", type=Path, default=ROOT / "build" / "generations", help="for what is made")
    add("--again", action="store_true", help="take what the folder holds")
    add("--short", action="store_true", help="next to nothing, to see that it runs")
    add("--write", type=Path, metavar="DIR", help="write generations.md there")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
