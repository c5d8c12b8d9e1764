"""One run of the benchmarks: models made, programs run, results gathered."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from rich.console import Console

from benchmarks.family import MODELS, WEIGHTS, make_family, make_hollow_family
from benchmarks.judge import MIB
from benchmarks.machine import describe_machine
from benchmarks.rounds import Workplace, run_rounds, runs_of
from benchmarks.rows import Row
from benchmarks.series import Results, Series
from benchmarks.shapes import SIZES, Size
from benchmarks.table import number

_OUTPUTS = 4  # models on the disk beside the family, at worst


@dataclass(frozen=True)
class Request:
    """How to measure."""

    size: str
    repeats: int
    mergekit_repeats: int
    memory: str
    threads: int
    folder: Path
    mergekit: Path | None
    mergekit_rows: tuple[str, ...] = ()


def measure_rows(rows: Sequence[Row], request: Request, console: Console) -> Results:
    """Run the rows as requested."""
    size = SIZES[request.size]
    with console.status("making the models"):
        make_models(request.folder, size)
    limits = {"memory": request.memory, "threads": str(request.threads)}
    place = Workplace(request.folder, request.mergekit, limits)
    runs = runs_of(
        rows,
        repeats=request.repeats,
        mergekit_repeats=request.mergekit_repeats,
        has_mergekit=request.mergekit is not None,
        mergekit_rows=request.mergekit_rows,
    )
    with console.status("measuring") as status:
        series = run_rounds(
            runs,
            place,
            before=lambda run: status.update(f"{run.row.name}  {run.program}"),
            after=lambda series: _say(series, console),
        )
    return Results(
        date=datetime.now(tz=timezone.utc).date().isoformat(),
        settings={
            **limits,
            "repeats": str(request.repeats),
            "mergekit_repeats": str(request.mergekit_repeats),
            "parameters": f"{size.family.nbytes / 2e9:.2g} billion",
            "tensors": f"{len(size.mixture.tensors()):,}",
        },
        machine=describe_machine(request.folder, request.mergekit),
        series=tuple(series),
    )


def make_models(folder: Path, size: Size) -> None:
    """Write what is merged, and the headers of what is only planned."""
    folder.mkdir(parents=True, exist_ok=True)
    _check_space(folder, size.family.nbytes)
    make_family(folder, size.family)
    make_hollow_family(folder / "dense", size.dense)
    make_hollow_family(folder / "mixture", size.mixture)


def _check_space(folder: Path, nbytes: int) -> None:
    files = [folder / name / WEIGHTS for name in MODELS]
    there = sum(each.stat().st_size for each in files if each.exists())
    needed = (len(MODELS) + _OUTPUTS) * nbytes - there
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SystemExit(f"{needed / 1e9:.0f} GB of disk are needed, {free / 1e9:.0f} are free")


def _say(series: Series, console: Console) -> None:
    named = f"{len(series.usages)}  {series.row}  {series.program}"
    if series.failure is not None:
        console.print(f"{named}: failed, {series.failure}", markup=False)
        return
    last = series.usages[-1]
    console.print(f"{named}: {number(last.wall)} s, {last.peak / MIB:.0f} MiB")
