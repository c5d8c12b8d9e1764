"""The command line: what is typed in, and what is printed."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from mergegraph.cli import breeding, evolving, examining, making, reporting
from mergegraph.cli import kinship as measuring
from mergegraph.cli import results as trust
from mergegraph.cli.carrying import carry_out
from mergegraph.cli.guarding import guarded
from mergegraph.cli.options import (
    Debug,
    Device,
    Memory,
    Quiet,
    Restart,
    ShardSize,
    Stream,
    Threads,
    TraceFile,
)
from mergegraph.errors import MergeGraphError, RunError, refusal
from mergegraph.interruption import Interruption

WIDEST = 100  # columns of prose
_STATUS_OF_PIPE = 141  # that of a process which SIGPIPE ends

app = typer.Typer(
    name="mergegraph",
    help="A query engine for weights: merge checkpoints in bounded memory, always the same bytes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Recipes = Annotated[
    list[Path],
    typer.Argument(
        help="Recipe files; several share what they have in common.", show_default=False
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Directory of the result; of several recipes, the folder of their directories."
    ),
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Seed of random methods, in place of the recipe's.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of the recipe, such as parameters.density=0.3.",
    ),
]


@app.command()
def run(
    context: typer.Context,
    recipes: Recipes,
    out: Out = None,
    memory: Memory = None,
    threads: Threads = None,
    device: Device = "auto",
    seed: Seed = None,
    shard_size: ShardSize = "5GB",
    settings: Set = None,
    restart: Restart = False,
    stream: Stream = False,
    trace: TraceFile = None,
    report: reporting.ReportFile = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Merge: compile the recipes to one plan and run it."""
    from mergegraph import preparing
    from mergegraph.settings import Settings

    chosen = Settings(memory, threads, device, seed, shard_size, tuple(settings or ()), stream)
    prepared = preparing.prepare(recipes, out=out, settings=chosen, restart=restart)
    heard = context.ensure_object(Interruption)
    with reporting.reporting(recipes, report, chosen, heard, trace=trace, quiet=quiet) as tally:
        carry_out(prepared, heard, trace=trace, quiet=quiet, tally=tally)


@app.command()
def plan(
    recipes: Recipes,
    out: Out = None,
    memory: Memory = None,
    threads: Threads = None,
    seed: Seed = None,
    settings: Set = None,
    stream: Stream = False,
    form: Annotated[str, typer.Option("--format", help="text, json, dot or mermaid.")] = "text",
    tensor: Annotated[
        str | None,
        typer.Option(help="Explain one output tensor: formula, inputs, parameters, passes."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Show what a run would do: tensors, tasks, passes, bytes, peak memory, notes."""
    from mergegraph import explaining, pipeline

    if form not in ("text", "json", "dot", "mermaid"):
        raise MergeGraphError(f"--format {form}: not one of text, json, dot, mermaid")
    made = pipeline.plan(
        *recipes,
        out=out,
        memory=memory,
        threads=threads,
        seed=seed,
        settings=settings or (),
        stream=stream,
    )
    if form == "dot":
        typer.echo(explaining.plan_dot(made.plan, tensor))
    elif form == "mermaid":
        typer.echo(explaining.plan_mermaid(made.plan, tensor))
    elif tensor is not None:
        typer.echo(explaining.tensor_text(made.plan, made.schedule, tensor))
    elif form == "json":
        typer.echo(explaining.plan_json(made.plan, made.schedule, made.notes))
    else:
        typer.echo(explaining.plan_text(made.plan, made.schedule, made.notes))


@app.command()
def methods(
    name: Annotated[
        str | None,
        typer.Argument(help="Show one method: formula, parameters, recipe.", show_default=False),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    debug: Debug = False,
) -> None:
    """List the installed merge methods by group, or show all there is to know of one."""
    from mergegraph.errors import nearest
    from mergegraph.guide import listing
    from mergegraph.plugins import installed_plugins

    if form not in ("text", "json"):
        raise MergeGraphError(f"--format {form}: not one of text, json")
    plugins = installed_plugins()
    if name is not None and name not in plugins.methods:
        raise MergeGraphError(
            f"no merge method '{name}' is installed{nearest(name, plugins.methods)}"
        )
    columns = shutil.get_terminal_size().columns
    if name is not None and form == "json":
        typer.echo(listing.method_json(plugins, name))
    elif name is not None:
        typer.echo(listing.method_text(plugins, name, min(columns, WIDEST)))
    elif form == "json":
        typer.echo(listing.methods_json(plugins))
    else:
        # what reads a pipe looks for lines
        typer.echo(
            listing.methods_text(plugins, columns if sys.stdout.isatty() else listing.ENDLESS)
        )


app.command()(making.moe)
app.command("extract-lora")(making.extract_lora)
app.command()(measuring.kinship)
app.command()(evolving.evolve)
app.command()(breeding.breed)
app.command()(reporting.report)


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors."""
    from mergegraph.plugins import installed_plugins
    from mergegraph.recipe.schema import schema_text

    typer.echo(schema_text(installed_plugins().methods))


examining.add_to(app)
trust.add_to(app)


def main(arguments: list[str] | None = None, *, interruption: Interruption | None = None) -> None:
    """Run the command line; errors of the user's come out as sentences.

    Signals are heard by the `interruption`; without one, they are what they were.
    """
    given = sys.argv[1:] if arguments is None else arguments
    with guarded():
        _carry_out(given, interruption or Interruption(given))


def _carry_out(given: list[str], heard: Interruption) -> None:
    try:
        app(given, obj=heard)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # who read the output has had enough
            sys.exit(_STATUS_OF_PIPE)
        raise
    except MergeGraphError as error:
        if heard.is_heard:
            raise
        code = 1 if isinstance(error, RunError) else 2
        if "--debug" in given:
            raise
        typer.echo(str(error), err=True)
        sys.exit(code)
    except OSError as error:
        is_full = error.errno == errno.ENOSPC and error.filename is None
        if heard.is_heard or not is_full or "--debug" in given:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushed again at the end
        typer.echo(f"the output cannot be written: {error.strerror}", err=True)
        sys.exit(1)
    except (MemoryError, RuntimeError, ImportError) as error:
        told = refusal(error)
        if told is None or "--debug" in given:
            raise
        typer.echo(told, err=True)
        sys.exit(1)
