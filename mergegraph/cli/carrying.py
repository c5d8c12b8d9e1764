"""Carrying out what a command has prepared, with its progress told and interruptions heard."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mergegraph.pipeline import Prepared


def carry_out(prepared: Prepared, *, trace: Path | None, quiet: bool) -> None:
    """Run what is prepared, and tell of it."""
    from mergegraph import pipeline
    from mergegraph.progress import Display
    from mergegraph.trace import traced

    display = Display(prepared.schedule, fetch_nbytes=prepared.fetch_nbytes, quiet=quiet)
    display.say(*prepared.notes)
    with interruptible(), display, traced(trace) as gathered:
        summary = pipeline.finish(
            prepared, progress=display.advance, fetching=display.fetched, trace=gathered
        )
    display.say(*(f"warning: {warning}" for warning in summary.warnings))
    display.say(*(f"{path}: done" for path in summary.directories))


@contextmanager
def interruptible() -> Iterator[None]:
    """End with the status of what was interrupted, and say how to continue."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command continues where it stopped", err=True)
        raise typer.Exit(130) from None
