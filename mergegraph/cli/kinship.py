"""The command that measures how alike models are."""

from __future__ import annotations

from typing import Annotated

import typer

from mergegraph.cli.options import Debug, Memory, Quiet, Stream, Threads
from mergegraph.errors import MergeGraphError, nearest
from mergegraph.interruption import Interruption

FORMS = ("text", "json")


def kinship(
    context: typer.Context,
    models: Annotated[
        list[str],
        typer.Argument(
            help="Models, references as in recipes; a recipe file is the model it would make,"
            " FILE#STAGE one of its stages.",
            show_default=False,
        ),
    ],
    base: Annotated[
        str, typer.Option("--base", "--base-model", help="The base that they were made of.")
    ],
    metric: Annotated[str, typer.Option(help="pcc, cosine or euclidean.")] = "pcc",
    aggregate: Annotated[
        str,
        typer.Option(help="global: all entries together; per_tensor: a mean weighted by size."),
    ] = "global",
    by: Annotated[
        str, typer.Option(help="Show more than the total: layer, kind or tensor.")
    ] = "total",
    form: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of random methods of recipes.")
    ] = None,
    memory: Memory = None,
    threads: Threads = None,
    stream: Stream = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure how alike models are in what they have made of a base; nothing is written."""
    from mergegraph import kinship as measuring
    from mergegraph.kinship.metrics import check_words
    from mergegraph.kinship.record import to_text
    from mergegraph.kinship.telling import BY, text_of
    from mergegraph.progress import Display
    from mergegraph.settings import Settings

    check_words(metric, aggregate)
    for option, word, words in (("--format", form, FORMS), ("--by", by, BY)):
        if word not in words:
            raise MergeGraphError(f"{option} {word}: not known{nearest(word, words)}")
    interruption = context.ensure_object(Interruption)
    chosen = Settings(memory, threads, "auto", seed, stream=stream)
    survey = measuring.survey(measuring.Request(base, tuple(models)), chosen)
    reading = survey.reading
    display = Display(
        reading.schedule,
        fetch_nbytes=reading.fetch_nbytes,
        quiet=quiet,
        doing="measuring",
        writes=False,
    )
    display.say(*survey.notes)
    interruption.before_telling(display.hide)
    with display:
        found = measuring.measure(survey, display.advance, display.fetched)
    display.say(*(note for note in found.notes if note not in survey.notes))
    if form == "json":
        typer.echo(to_text(found), nl=False)
    else:
        typer.echo(text_of(found, metric=metric, aggregate=aggregate, by=by))
