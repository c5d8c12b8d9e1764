"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Memory = Annotated[
    str | None,
    typer.Option(help="Memory budget, such as 512MiB or 4GiB.  \\[default: half of what is free]"),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Worker threads.  \\[default: the cores there are]")
]
ShardSize = Annotated[str, typer.Option(help="Largest size of an output file.")]
Device = Annotated[str, typer.Option(help="Where to compute: auto (the CPU), cpu or cuda.")]
Restart = Annotated[
    bool, typer.Option("--restart", help="Replace a finished result, also of another plan.")
]
Stream = Annotated[
    bool,
    typer.Option(
        "--stream",
        help="Read weights of the Hub and of object stores in place, storing no files of them.",
    ),
]
TraceFile = Annotated[
    Path | None, typer.Option(help="Write what every thread did and when, for Perfetto, to a file.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of errors.")]
