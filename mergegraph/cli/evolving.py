"""The command that searches what to put into the holes of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mergegraph.cli.carrying import carry_out
from mergegraph.cli.options import Debug, Device, Memory, Quiet, Restart, Stream, Threads
from mergegraph.interruption import Interruption


def evolve(
    context: typer.Context,
    recipe: Annotated[
        Path,
        typer.Argument(help="A recipe with holes, as {search: [0.2, 0.9]}.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the search; it continues what is there.")],
    evaluator: Annotated[
        str, typer.Option(help="What chooses: NAME[,KEY=VALUE...][:DATA], such as demo.")
    ],
    report_evaluator: Annotated[
        str | None,
        typer.Option(
            help="What reports, on other data.  \\[default: the evaluator's own other data]"
        ),
    ] = None,
    maximize: Annotated[
        list[str] | None, typer.Option(help="A score to be high; several for a Pareto set.")
    ] = None,
    minimize: Annotated[list[str] | None, typer.Option(help="A score to be low.")] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="How many candidates. \\[default: 100; the whole grid]"),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="cmaes, nsga2, random or grid.  \\[default: cmaes, of several scores nsga2]"
        ),
    ] = None,
    population: Annotated[
        int | None,
        typer.Option(min=1, help="Candidates of a generation.  \\[default: the sampler's]"),
    ] = None,
    points: Annotated[
        int | None, typer.Option(min=1, help="Points of each range of a grid.  \\[default: 5]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the search.")] = 0,
    parallel: Annotated[int, typer.Option(min=1, help="Candidates that are examined at once.")] = 1,
    same_data: Annotated[
        bool, typer.Option("--same-data", help="Let data report that has chosen, too.")
    ] = False,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Write the winner's recipe, and no model.")
    ] = False,
    memory: Memory = None,
    threads: Threads = None,
    device: Device = "auto",
    restart: Restart = False,
    stream: Stream = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Search what to put into the holes of a recipe, and merge what was found."""
    from mergegraph.evolve import command
    from mergegraph.evolve.display import SearchDisplay
    from mergegraph.evolve.options import Options
    from mergegraph.settings import Settings

    interruption = context.ensure_object(Interruption)
    settings = Settings(memory, threads, device, stream=stream)
    options = Options(
        evaluator=evaluator,
        report_evaluator=report_evaluator,
        maximize=tuple(maximize or ()),
        minimize=tuple(minimize or ()),
        sampler=sampler,
        trials=trials,
        seed=seed,
        population=population,
        points=points,
        same_data=same_data,
    )
    prepared = command.prepare_search(
        recipe, out, options, settings=settings, parallel=parallel, restart=restart
    )
    display = SearchDisplay(prepared.request, quiet=quiet)
    interruption.keeps(lambda: command.kept(prepared))
    interruption.before_telling(display.hide)
    interruption.after_telling(lambda: command.leave(prepared))
    with display:
        found = command.search(prepared, display)
    display.say(*command.told(prepared, found))
    if no_model or len(prepared.request.objectives) > 1:
        display.say(*command.recipes(prepared, found))
        return
    carry_out(command.prepare_winner(prepared, settings), interruption, trace=None, quiet=quiet)
