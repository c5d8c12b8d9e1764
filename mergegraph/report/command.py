"""From targets to a page that is ready to be written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from mergegraph.errors import MergeGraphError, RunError
from mergegraph.files.trees import OnBytes
from mergegraph.plugins import installed_plugins
from mergegraph.report.chapters import chapter_of
from mergegraph.report.measuring import Measured, measure
from mergegraph.report.page import page
from mergegraph.report.sections.work import Ran
from mergegraph.report.targets import Opened, Wanted, open_target
from mergegraph.report.traces import read_work
from mergegraph.running.execute import Progress
from mergegraph.trust.recall import working_in

_MARK = b'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
_NAMED = b"mergegraph"
_HEAD = 4096  # bytes in which a page says whose it is


@dataclass(frozen=True)
class Prepared:
    """Targets that are opened, each with its reading planned, and what is known of a run."""

    opened: Sequence[Opened]
    out: Path
    ran: Ran


def prepare(
    targets: Sequence[Path], *, out: Path, wanted: Wanted, trace: Path | None = None
) -> Prepared:
    """Open all targets and plan what is to be read; nothing is read yet.

    Raises MergeGraphError if something will not do.
    """
    check_place(out, "--out")
    if trace is not None and len(targets) > 1:
        raise MergeGraphError(f"--trace {trace}: is of one run; name one target")
    ran = Ran() if trace is None else Ran(read_work(trace))
    plugins = installed_plugins()
    return Prepared([open_target(each, wanted, plugins) for each in targets], out, ran)


def check_place(out: Path, option: str) -> None:
    """Raise MergeGraphError if a report cannot be written there, or would replace something."""
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        raise MergeGraphError(
            f"{option} {out}: cannot be written; name a file in a folder there is"
        )
    if out.exists() and not _is_ours(out):
        raise MergeGraphError(f"{option} {out}: is there, and is no report; name another file")


def measured(
    opened: Opened, progress: Progress | None = None, fetching: OnBytes | None = None
) -> Measured | None:
    """What the reading of a target comes to, if one is planned; raises RunError if it fails."""
    if opened.survey is None:
        return None
    with working_in(opened.start):
        return measure(opened.survey, progress, fetching)


def write(prepared: Prepared, found: Sequence[Measured | None]) -> None:
    """Draw the page and put it in its place; raises RunError if that fails."""
    chapters = [
        chapter_of(opened, each, prepared.ran)
        for opened, each in zip(prepared.opened, found, strict=True)
    ]
    text = page(chapters, version("mergegraph"))
    unfinished = prepared.out.with_name(f"{prepared.out.name}.partial")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(prepared.out)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise RunError(f"{prepared.out}: cannot be written: {error.strerror}") from error


def _is_ours(path: Path) -> bool:
    """Whether nothing is lost if a report is written here."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return not head or (head.startswith(_MARK) and _NAMED in head)
