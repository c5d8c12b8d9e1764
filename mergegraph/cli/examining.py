"""Commands about examinations: evaluate, evaluators."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from typing import Annotated

import typer

from mergegraph.cli.options import Debug, Memory, Quiet, Threads
from mergegraph.errors import MergeGraphError, RunError, nearest
from mergegraph.interruption import Interruption

_WIDEST = 100  # columns of prose


def add_to(app: typer.Typer) -> None:
    """Make these commands part of the command line."""
    for command in (evaluate, evaluators):
        app.command()(command)


def evaluate(
    context: typer.Context,
    models: Annotated[
        list[str],
        typer.Argument(help="Models, by references as in recipes.", show_default=False),
    ],
    evaluator: Annotated[
        list[str],
        typer.Option(
            "--evaluator",
            "-e",
            metavar="NAME[,KEY=VALUE...][:DATA]",
            help="How to examine them, such as demo or perplexity:valid.txt; may come again.",
        ),
    ],
    form: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    memory: Memory = None,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Examine models: skills, perplexity, tasks of lm-eval, or what any program says of them."""
    from mergegraph.library import library_of
    from mergegraph.plugins import installed_plugins
    from mergegraph.search import evaluating
    from mergegraph.search.candidates import OnDisk
    from mergegraph.search.examining import read_examination
    from mergegraph.settings import Settings

    _check_form(form)
    plugins, settings = installed_plugins(), Settings(memory, threads)
    settings.check()
    examinations = [read_examination(each, plugins) for each in dict.fromkeys(evaluator)]
    library = library_of(plugins)
    opened: list[OnDisk] = []
    interruption = context.ensure_object(Interruption)
    interruption.continues = False

    def clear() -> None:
        for each in opened:
            each.clear()

    interruption.after_telling(clear)

    def candidate(reference: str) -> OnDisk:
        opened[:] = [OnDisk(reference, library, settings)]
        if not quiet:
            for note in opened[0].notes:
                typer.echo(note, err=True)
        return opened[0]

    found = []
    for model in dict.fromkeys(models):
        for each in evaluating.evaluated(model, candidate, examinations):
            found.append(each)
            if not quiet and form == "text":
                typer.echo(each.told, err=True)
    text = partial(evaluating.table_text, width=_width())
    tell = evaluating.scores_json if form == "json" else text
    typer.echo(tell(found))
    if problems := evaluating.problems_of(found):
        raise RunError(*problems)


def evaluators(
    name: Annotated[
        str | None,
        typer.Argument(help="Show one evaluator: words, parameters.", show_default=False),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    debug: Debug = False,
) -> None:
    """List the installed evaluators, or show all there is to know of one."""
    from mergegraph.guide import examiners
    from mergegraph.plugins import installed_plugins

    _check_form(form)
    plugins = installed_plugins()
    if name is not None and name not in plugins.evaluators:
        known = plugins.evaluators
        raise MergeGraphError(f"no evaluator '{name}' is installed{nearest(name, known)}")
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    if form == "json":
        told = examiners.evaluators_json(plugins)
        typer.echo(told if name is None else examiners.evaluator_json(plugins, name))
    elif name is None:
        typer.echo(examiners.evaluators_text(plugins, width))
    else:
        typer.echo(examiners.evaluator_text(plugins, name, width))


def _width() -> int | None:
    """The columns of the terminal; a file has any number."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _check_form(form: str) -> None:
    if form not in ("text", "json"):
        raise MergeGraphError(f"--format {form}: not one of text, json")
