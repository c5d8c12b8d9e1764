"""Carrying out what a command has prepared, with its progress told and interruptions heard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mergegraph.interruption import Interruption

if TYPE_CHECKING:
    from mergegraph.preparing import Prepared
    from mergegraph.trace import Trace


def carry_out(
    prepared: Prepared,
    interruption: Interruption,
    *,
    trace: Path | None,
    quiet: bool,
    tally: Trace | None = None,
) -> None:
    """Run what is prepared, and tell of it; a `tally` is told what every thread does."""
    from mergegraph import pipeline
    from mergegraph.progress import Display
    from mergegraph.trace import traced

    display = Display(prepared.schedule, fetch_nbytes=prepared.fetch_nbytes, quiet=quiet)
    display.say(*prepared.notes)
    interruption.keeps(lambda: _finished(prepared))
    interruption.before_telling(display.hide)
    with display, traced(trace, tally) as gathered:
        if trace is not None:
            interruption.after_telling(lambda: gathered.write(trace))
        summary = pipeline.finish(
            prepared,
            progress=display.advance,
            fetching=display.fetched,
            trace=gathered,
            command=interruption.command,
            warn=lambda warning: display.say(f"warning: {warning}"),
        )
    display.say(*(f"warning: {warning}" for warning in summary.warnings))
    display.say(*(f"{path}: done" for path in summary.directories))


def _finished(prepared: Prepared) -> str:
    """How many of its tensors are finished on the disk, if any."""
    layouts = prepared.layouts
    total = sum(len(shard.slots) for layout in layouts.values() for shard in layout)
    finished = sum(_count(prepared, path) for path in layouts)
    return f"{finished} of {total} tensors are finished" if finished else ""


def _count(prepared: Prepared, path: Path) -> int:
    from mergegraph.writing.found import partial_path
    from mergegraph.writing.journal import read_journal

    names = {name for shard in prepared.layouts[path] for name in shard.slots}
    if prepared.found[path].is_done:
        return len(names)
    return len(names & read_journal(partial_path(path)).finished.keys())
