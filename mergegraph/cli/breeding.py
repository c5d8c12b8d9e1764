"""The command `breed`: populations of models, soups, and rounds of contributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mergegraph.breed.defaults import PAIR
from mergegraph.cli.carrying import carry_out
from mergegraph.cli.options import Debug, Memory, Quiet, Threads
from mergegraph.errors import MergeGraphError, printable
from mergegraph.interruption import Interruption

if TYPE_CHECKING:
    from mergegraph.breed.command import Questions
    from mergegraph.breed.wishes import Wishes
    from mergegraph.plugins import Plugins
    from mergegraph.preparing import Prepared
    from mergegraph.settings import Settings

# options that have a meaning in some strategies only
_OF_STRATEGY = {
    "topk": {
        "--method", "--parameter", "--k", "--metric", "--explore", "--candidates", "--early-stop",
        "--max-generations", "--dtype", "--seed", "--base",
    },
    "soup": {"--accept", "--dtype"},
    "cold": {"--base", "--share-heads"},
}  # fmt: skip
_OF_SEARCHES = {"--report-evaluator", "--maximize", "--minimize", "--same-data", "--no-model"}


def breed(
    context: typer.Context,
    models: Annotated[
        list[str],
        typer.Argument(help="The models to begin with, references as in recipes."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the search.", show_default=False)],
    base: Annotated[
        str | None,
        typer.Option(help="What they are fine-tunings of; of cold rounds what is shared."),
    ] = None,
    evaluator: Annotated[
        str | None,
        typer.Option(help="What chooses: NAME[,KEY=VALUE...][:DATA].", show_default=False),
    ] = None,
    report_evaluator: Annotated[
        str | None,
        typer.Option(
            help="What reports, on other data.  \\[default: the evaluator's own other data]"
        ),
    ] = None,
    strategy: Annotated[str, typer.Option(help="topk, soup or cold.")] = "topk",
    method: Annotated[str | None, typer.Option(help=f"Merges a pair.  \\[default: {PAIR}]")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter of the method, as in recipes."),
    ] = None,
    k: Annotated[int | None, typer.Option("--k", help="Models of the top.  \\[default: 3]")] = None,
    metric: Annotated[
        str | None, typer.Option(help="Kinship: pcc, cosine or euclidean.  \\[default: pcc]")
    ] = None,
    explore: Annotated[
        bool | None,
        typer.Option(
            "--explore/--no-explore",
            help="Also merge the best with the model least akin to it.  \\[default: explore]",
        ),
    ] = None,
    candidates: Annotated[
        str | None,
        typer.Option(help="Whom to explore: all of the pool, or topk.  \\[default: pool]"),
    ] = None,
    early_stop: Annotated[
        float | None,
        typer.Option(help="Stop when the mean kinship of the top passes it.  \\[default: 0.9]"),
    ] = None,
    no_early_stop: Annotated[
        bool, typer.Option("--no-early-stop", help="Never stop for kinship.")
    ] = False,
    max_generations: Annotated[
        int | None, typer.Option(help="Generations at the most.  \\[default: 10]")
    ] = None,
    accept: Annotated[
        str | None, typer.Option(help="A soup takes what is >= or > than it.  \\[default: >=]")
    ] = None,
    share_heads: Annotated[
        bool, typer.Option("--share-heads", help="Average heads, too, in cold rounds.")
    ] = False,
    dtype: Annotated[
        str | None, typer.Option(help="Of every merge.  \\[default: that of the models]")
    ] = None,
    maximize: Annotated[str | None, typer.Option(help="The score that is looked for.")] = None,
    minimize: Annotated[str | None, typer.Option(help="The same, where less is better.")] = None,
    same_data: Annotated[
        bool, typer.Option("--same-data", help="Report with the data that has chosen.")
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of random methods.")] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Models examined at once.")] = 1,
    memory: Memory = None,
    threads: Threads = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, also in the folder of another search.")
    ] = False,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Write recipes, and no model.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Merge over generations, guided by scores and kinship; or make a soup, or a cold round."""
    from mergegraph.breed.command import Questions
    from mergegraph.breed.wishes import wishes_of
    from mergegraph.plugins import installed_plugins
    from mergegraph.settings import Settings

    given = {
        "--base": base,
        "--method": method,
        "--parameter": parameter or None,
        "--k": k,
        "--metric": metric,
        "--explore": explore,
        "--candidates": candidates,
        "--early-stop": False if no_early_stop else early_stop,
        "--max-generations": max_generations,
        "--accept": accept,
        "--dtype": dtype,
        "--seed": seed,
        "--share-heads": share_heads or None,
        "--report-evaluator": report_evaluator,
        "--maximize": maximize,
        "--minimize": minimize,
        "--same-data": same_data or None,
        "--no-model": no_model or None,
    }
    if no_early_stop and early_stop is not None:
        raise MergeGraphError("--early-stop and --no-early-stop: give one of them")
    _check_options(strategy, given)
    interruption = context.ensure_object(Interruption)
    interruption.continues = True
    settings = Settings(memory, threads)
    plugins = installed_plugins()
    job = _Job(interruption, plugins, settings, out.expanduser(), restart, parallel, quiet)
    if strategy == "cold":
        _share(job, base, models, evaluator, shares_heads=share_heads)
    elif evaluator is None:
        known = ", ".join(plugins.evaluators) or "none"
        raise MergeGraphError(f"--evaluator is missing; installed are {known}")
    else:
        questions = Questions(evaluator, report_evaluator, maximize, minimize, same_data)
        _search(job, wishes_of(strategy, models, given), questions, makes_model=not no_model)


@dataclass(frozen=True)
class _Job:
    """What all strategies need to be carried out."""

    interruption: Interruption
    plugins: Plugins
    settings: Settings
    out: Path
    restart: bool
    parallel: int
    quiet: bool

    def say(self, line: str) -> None:
        """Tell how far it is."""
        if not self.quiet:
            typer.echo(printable(line), err=True)

    def run(self, prepared: Prepared) -> None:
        """Have a model made."""
        carry_out(prepared, self.interruption, trace=None, quiet=self.quiet)

    def make(self, recipe: Path, out: Path) -> None:
        """Have the recipe of a round made, in place of what was made of an earlier one."""
        from mergegraph.search.winner import prepare_own

        self.run(prepare_own(recipe, out, self.settings, is_own=True))


def _search(job: _Job, wishes: Wishes, questions: Questions, *, makes_model: bool) -> None:
    """Search, tell what came of it, and make the best model."""
    from mergegraph.breed import command, telling
    from mergegraph.search.laboratory import clear_candidates
    from mergegraph.search.record import Bred, read_record
    from mergegraph.search.winner import prepare_winner

    search = command.prepare(
        wishes, questions, job.plugins, job.settings, out=job.out, restart=job.restart
    )
    job.interruption.keeps(lambda: "all scores that were found are kept")
    command.carry_out(
        search,
        restart=job.restart,
        parallel=job.parallel,
        say=job.say,
        on_begun=lambda: job.interruption.after_telling(lambda: clear_candidates(job.out)),
    )
    if not job.quiet:
        record = read_record(job.out)
        assert isinstance(record, Bred), "it has just been written"
        typer.echo(telling.members_table(record))
        for line in telling.summary(record):
            typer.echo(line)
    if makes_model:
        job.run(prepare_winner(job.out, search.bond, job.settings))


def _share(
    job: _Job,
    base: str | None,
    models: Sequence[str],
    evaluator: str | None,
    *,
    shares_heads: bool,
) -> None:
    """Make the next shared model, and note the round."""
    from mergegraph.breed import sharing
    from mergegraph.search.examining import read_examination
    from mergegraph.search.laboratory import Laboratory

    examination = None if evaluator is None else read_examination(evaluator, job.plugins)
    found = sharing.prepare_round(
        base, models, job.plugins, job.out, shares_heads=shares_heads, restart=job.restart
    )
    told = ", ".join(found.heads) or "none"
    job.say(f"round {found.number}: {len(models)} contributions to {found.shared}")
    job.say(f"heads that stay as they are: {told}")
    for note in found.notes:
        job.say(f"warning: {note}")
    sharing.carry_out_round(found, job.make)
    if examination is not None:
        with Laboratory(
            job.plugins, job.settings, scratch=job.out, parallel=job.parallel, say=job.say
        ) as laboratory:
            sharing.score_round(found, laboratory, examination, job.say)
    job.say(f"{found.result}: what is shared now")


def _check_options(strategy: str, given: Mapping[str, Any]) -> None:
    """Refuse options that change nothing in a strategy."""
    if strategy not in _OF_STRATEGY:
        raise MergeGraphError(f"--strategy {strategy}: not one of {', '.join(_OF_STRATEGY)}")
    known = _OF_STRATEGY[strategy] | (set() if strategy == "cold" else _OF_SEARCHES)
    for name, value in given.items():
        if value is not None and name not in known:
            where = [each for each in _OF_STRATEGY if name in _OF_STRATEGY[each] | _OF_SEARCHES]
            fact = f"changes nothing with --strategy {strategy}"
            raise MergeGraphError(f"{name}: {fact}; it is for {' and '.join(where)}")
