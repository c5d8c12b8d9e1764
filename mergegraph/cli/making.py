"""Commands that make something other than a merge: mixtures of experts, and adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mergegraph.cli.carrying import carry_out
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
from mergegraph.errors import MergeGraphError
from mergegraph.interruption import Interruption


def moe(
    context: typer.Context,
    recipe: Annotated[
        Path, typer.Argument(help="A recipe for experts, as mergekit-moe's.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option(help="Directory of the result.")] = None,
    memory: Memory = None,
    threads: Threads = None,
    device: Device = "auto",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of gates and noise, in place of the recipe's.")
    ] = None,
    shard_size: ShardSize = "5GB",
    restart: Restart = False,
    stream: Stream = False,
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Show what would be made, and write nothing.")
    ] = False,
    trace: TraceFile = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a mixture of experts of dense models: Mixtral, Qwen2-MoE or Qwen3-MoE."""
    from mergegraph import explaining
    from mergegraph.moe import prepare
    from mergegraph.settings import Settings

    interruption = context.ensure_object(Interruption)
    interruption.continues = not only_plan
    chosen = Settings(memory, threads, device, seed, shard_size, (), stream)
    prepared = prepare(recipe, out=out, settings=chosen, restart=restart or only_plan)
    if only_plan:
        typer.echo(explaining.plan_text(prepared.plan, prepared.schedule, prepared.notes))
    else:
        carry_out(prepared, interruption, trace=trace, quiet=quiet)


def extract_lora(
    context: typer.Context,
    model: Annotated[str, typer.Option("--model", help="The model, a reference as in recipes.")],
    base: Annotated[
        str, typer.Option("--base", "--base-model", help="The base that it was made of.")
    ],
    out: Annotated[Path, typer.Option("--out", "--out-path", help="Directory of the adapter.")],
    max_rank: Annotated[
        int | None, typer.Option(help="The highest rank of a tensor.  \\[default: 32]")
    ] = None,
    rank: Annotated[
        int | None, typer.Option(help="The rank of every tensor, in place of a highest one.")
    ] = None,
    energy: Annotated[
        float | None,
        typer.Option(help="The share of Σσ² of each tensor that its rank is to hold, as 0.95."),
    ] = None,
    sv_epsilon: Annotated[
        float, typer.Option(help="Leave out singular values that are not above this.")
    ] = 0.0,
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include", "--include-regex", help="Take only modules that a pattern is found in."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude", "--exclude-regex", help="Leave out modules that a pattern is found in."
        ),
    ] = None,
    save_module: Annotated[
        list[str] | None,
        typer.Option("--save-module", "--modules-to-save", help="Save modules of that name whole."),
    ] = None,
    embed_lora: Annotated[
        bool,
        typer.Option("--embed-lora/--no-embed-lora", help="Factor embeddings, too."),
    ] = False,
    distribute_scale: Annotated[
        bool,
        typer.Option(help="Share the singular values out between both factors."),
    ] = True,
    dtype: Annotated[
        str | None, typer.Option(help="Dtype of the adapter.  \\[default: that of the base]")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the sketches.")] = None,
    memory: Memory = None,
    threads: Threads = None,
    restart: Restart = False,
    stream: Stream = False,
    trace: TraceFile = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a LoRA adapter of the difference of a model and its base."""
    from mergegraph import extract
    from mergegraph.progress import Display
    from mergegraph.settings import Settings

    interruption = context.ensure_object(Interruption)
    if rank is not None and max_rank is not None:
        raise MergeGraphError("--rank and --max-rank: give one of them")
    wishes = extract.Wishes(
        max_rank=extract.Wishes.max_rank if max_rank is None else max_rank,
        rank=rank,
        energy=energy,
        sv_epsilon=sv_epsilon,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        save_modules=tuple(save_module or ()),
        embed_lora=embed_lora,
    )
    request = extract.Request(model, base, wishes, dtype, distribute_scale)
    chosen = Settings(memory, threads, "auto", seed, stream=stream)
    survey = extract.survey(request, chosen)
    extract.check_place(survey, out)
    reading = survey.reading
    display = Display(reading.schedule, fetch_nbytes=reading.fetch_nbytes, quiet=quiet)
    display.say("looking how far each tensor is from its base's")
    interruption.before_telling(display.hide)
    with display:
        found = extract.measure(survey, display.advance, display.fetched)
    prepared = extract.prepare(survey, found, out=out, restart=restart)
    carry_out(prepared, interruption, trace=trace, quiet=quiet)
