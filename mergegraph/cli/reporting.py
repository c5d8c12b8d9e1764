"""The command that draws reports, and the report of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mergegraph.cli.options import Debug, Memory, Quiet, Stream, Threads
from mergegraph.interruption import Interruption

if TYPE_CHECKING:
    from mergegraph.report import command
    from mergegraph.report.measuring import Measured
    from mergegraph.settings import Settings
    from mergegraph.trace import Trace

ReportFile = Annotated[
    Path | None,
    typer.Option(help="Draw a report of the run, one page of HTML; reads the inputs once more."),
]


def report(
    context: typer.Context,
    targets: Annotated[
        list[Path],
        typer.Argument(
            help="Recipes, which are not run; results; or folders of searches.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    base: Annotated[
        str | None,
        typer.Option(help="The base that models are compared with.  \\[default: the recipe's]"),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Draw what is known without reading weights.")
    ] = False,
    trace: Annotated[
        Path | None, typer.Option(help="A trace of the run, as run --trace writes it.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipes."),
    ] = None,
    memory: Memory = None,
    threads: Threads = None,
    stream: Stream = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw recipes, results and searches: one page of HTML that needs nothing else."""
    from mergegraph.report import command
    from mergegraph.report.targets import Wanted
    from mergegraph.settings import Settings

    chosen = Settings(memory, threads, overrides=tuple(settings or ()), stream=stream)
    wanted = Wanted(base, quick, chosen)
    prepared = command.prepare(targets, out=out, wanted=wanted, trace=trace)
    _drawn(prepared, context.ensure_object(Interruption), quiet=quiet)


@contextmanager
def reporting(
    recipes: Sequence[Path],
    out: Path | None,
    settings: Settings,
    interruption: Interruption,
    *,
    trace: Path | None,
    quiet: bool,
) -> Iterator[Trace | None]:
    """Draw the run of the block, if that is asked for; it gives what is to be told of the work."""
    if out is None:
        yield None
        return
    from mergegraph.machine import peak_resident_memory
    from mergegraph.report import command
    from mergegraph.report.sections.work import Ran
    from mergegraph.report.targets import Wanted
    from mergegraph.report.traces import Tally

    command.check_place(out, "--report")
    tally, began = Tally(keeps_spans=trace is not None), time.perf_counter()
    yield tally
    ran = Ran(tally.work(), time.perf_counter() - began, peak_resident_memory())
    prepared = command.prepare(recipes, out=out, wanted=Wanted(settings=settings))
    told = command.Prepared(prepared.opened, out, ran)
    _drawn(told, interruption, quiet=quiet)


def _drawn(prepared: command.Prepared, interruption: Interruption, *, quiet: bool) -> None:
    """Read what is to be measured, and write the page."""
    from mergegraph.progress import Display
    from mergegraph.report import command

    found: list[Measured | None] = []
    for each in prepared.opened:
        if each.survey is None:
            found.append(None)
            continue
        reading = each.survey.reading
        display = Display(reading.schedule, fetch_nbytes=reading.fetch_nbytes, quiet=quiet)
        display.say(f"{each.name}: measuring")
        interruption.before_telling(display.hide)
        with display:
            found.append(command.measured(each, display.advance, display.fetched))
    command.write(prepared, found)
    if not quiet:
        typer.echo(f"{prepared.out}: written", err=True)
