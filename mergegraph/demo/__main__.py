"""Show what models can do: `python -m mergegraph.demo [DIR ...] [--markdown]`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path

import torch
from rich.box import MARKDOWN, SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mergegraph.demo.exams import PROBLEMS
from mergegraph.demo.score import Exam, make_exam, score
from mergegraph.demo.skills import SKILLS
from mergegraph.errors import MergeGraphError

FAMILY = Path(__file__).parent / "family"
COLUMNS = (*SKILLS, "average")

Scores = Mapping[str, Sequence[float]]


def main() -> int:
    """Score the family and the merges named on the command line; 2 if one cannot be scored."""
    parser = argparse.ArgumentParser(prog="python -m mergegraph.demo", description=_description())
    parser.add_argument("merges", nargs="*", type=Path, metavar="DIR", help="a merged model")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console, exam = Console(highlight=False, soft_wrap=True, emoji=False), make_exam()
    try:
        merges = {_label(path, arguments.merges): _row(path, exam) for path in arguments.merges}
    except MergeGraphError as error:
        Console(stderr=True, highlight=False, soft_wrap=True, emoji=False).print(
            str(error), markup=False
        )
        return 2
    family = {path.name: _row(path, exam) for path in members()}
    console.print(_table(family, merges, markdown=arguments.markdown))
    console.print(f"\n{_error_of_average()}")
    if merges:
        console.print(_verdict(family, merges), markup=False)
    return 0


def members() -> list[Path]:
    """The models of the shipped family, the base first."""
    found = (path.parent for path in FAMILY.glob("*/config.json"))
    return sorted(found, key=lambda path: (path.name != "base", path.name))


def _description() -> str:
    return "Score the demo family, and models merged from it, on the skills of its experts."


def _label(path: Path, paths: Sequence[Path]) -> str:
    alone = [each.resolve().name for each in paths].count(path.resolve().name) == 1
    return path.resolve().name if alone else str(path)


def _row(path: Path, exam: Exam) -> list[float]:
    scores = score(path, exam)
    return [*(scores[name] for name in SKILLS), sum(scores.values()) / len(scores)]


def _table(family: Scores, merges: Scores, *, markdown: bool) -> Table:
    table = Table(box=MARKDOWN if markdown else SIMPLE_HEAD)
    table.add_column("% of problems right")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    rows = {**family, **merges}
    best = [max(column) for column in zip(*rows.values(), strict=True)]
    for name, row in rows.items():
        cells = (_cell(*pair, markdown=markdown) for pair in zip(row, best, strict=True))
        table.add_row(escape(name), *cells, end_section=not markdown and name == [*family][-1])
    return table


def _cell(percent: float, best: float, *, markdown: bool) -> str:
    if percent < best:
        return f"{percent:.1f}"
    return f"**{percent:.1f}**" if markdown else f"[bold green]*{percent:.1f}[/]"


def _error_of_average() -> str:
    error = 50 / sqrt(PROBLEMS * len(SKILLS))
    return (
        f"Each skill is {PROBLEMS} problems that no model was trained on; "
        f"the standard error of an average is at most {error:.1f}."
    )


def _verdict(family: Scores, merges: Scores) -> str:
    best = max(family, key=lambda name: family[name][-1])
    above = [name for name, row in merges.items() if row[-1] > family[best][-1]]
    return (
        f"On the average, better than the base and every single expert (the best is {best}, "
        f"{family[best][-1]:.1f}): {', '.join(above) or 'none of the merges'}."
    )


if __name__ == "__main__":
    raise SystemExit(main())
