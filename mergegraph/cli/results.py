"""Commands about results: status, verify, reproduce, ancestry, push."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from mergegraph.cli.options import Debug, Memory, Quiet, Threads
from mergegraph.errors import MergeGraphError, RunError, printable
from mergegraph.interruption import Interruption

Directory = Annotated[Path, typer.Argument(help="A result of mergegraph.", show_default=False)]
Model = Annotated[
    Path, typer.Argument(help="A result, or the directory of another model.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Make these commands part of the command line."""
    for command in (status, verify, reproduce, ancestry, push):
        app.command()(command)


def status(
    directories: Annotated[
        list[Path],
        typer.Argument(
            help="Results, whole or unfinished, or folders of them.", show_default=False
        ),
    ],
    form: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    debug: Debug = False,
) -> None:
    """Show what there is of results: whole, at work, or unfinished and how to continue."""
    from mergegraph.trust.status import statuses, statuses_json

    if form not in ("text", "json"):
        raise MergeGraphError(f"--format {form}: not one of text, json")
    found = [each for path in directories for each in statuses(path)]
    typer.echo(statuses_json(found) if form == "json" else "\n".join(e.text for e in found))


def verify(
    context: typer.Context,
    directory: Model,
    inputs: Annotated[
        bool,
        typer.Option("--inputs", help="Check what it was made of, too, and what that was made of."),
    ] = False,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Recheck a model: hashes of its manifest, finiteness, config, index, files beside."""
    _checked(
        directory, context.ensure_object(Interruption), inputs=inputs, threads=threads, quiet=quiet
    )


def reproduce(
    context: typer.Context,
    directory: Directory,
    out: Annotated[
        Path | None, typer.Option(help="Keep what is made here; without it nothing is left.")
    ] = None,
    memory: Memory = None,
    threads: Threads = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Go on where inputs or packages are other ones.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a result again from its manifest, and compare every tensor and file."""
    from mergegraph.progress import Display
    from mergegraph.trust.reproduction import repeating

    interruption = context.ensure_object(Interruption)
    interruption.continues = out is not None

    def clear_last(scratch: Path) -> None:
        interruption.after_telling(lambda: shutil.rmtree(scratch, ignore_errors=True))

    again = repeating(
        directory,
        out=out,
        memory=memory,
        threads=threads,
        anyway=anyway,
        on_scratch=clear_last,
    )
    with again as repeat:
        display = Display(repeat.prepared.schedule, quiet=quiet)
        display.say(*repeat.doubts)
        interruption.before_telling(display.hide)
        with display:
            differences = repeat.run(display.advance)
    _tell(directory, differences)
    if not quiet:
        count = len(repeat.manifest.tensors)
        typer.echo(f"{directory}: made again, {count} tensors and all files are the same")


def ancestry(
    directory: Model,
    form: Annotated[str, typer.Option("--format", help="text, json or mermaid.")] = "text",
    debug: Debug = False,
) -> None:
    """Show what a model was made of, and that in turn, as manifests and cards tell."""
    from mergegraph.provenance.ancestry import family_json, family_mermaid, family_of, family_text

    forms = {"text": family_text, "json": family_json, "mermaid": family_mermaid}
    if form not in forms:
        raise MergeGraphError(f"--format {form}: not one of {', '.join(forms)}")
    typer.echo(forms[form](family_of(directory)))


def push(
    context: typer.Context,
    directory: Directory,
    repository: Annotated[
        str, typer.Argument(metavar="ORG/NAME", help="Where on the Hub.", show_default=False)
    ],
    private: Annotated[
        bool, typer.Option("--private", help="If it must be made, make it private.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="Branch to push to.  \\[default: main]")
    ] = None,
    message: Annotated[str | None, typer.Option(help="Message of the commit.")] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request in place of pushing.")
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Push also what is not as its manifest says.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Verify a result and send it to the Hub, with its card and licence in order."""
    from mergegraph.trust import publishing

    if create_pr and revision is not None:
        fact = "a pull request is made against main; leave --revision out"
        raise MergeGraphError(f"--create-pr: {fact}")
    packed = publishing.parcel(directory, repository)
    try:
        _checked(
            directory, context.ensure_object(Interruption), inputs=False, threads=None, quiet=True
        )
    except RunError as error:
        if not anyway:
            raise RunError(*error.args, f"{directory}: not pushed; --anyway pushes it") from error
    if not quiet:
        for warning in packed.warnings:
            typer.echo(f"warning: {warning}", err=True)
    address = publishing.push(
        packed,
        private=private,
        revision=revision,
        message=message,
        create_pr=create_pr,
        shows_progress=sys.stderr.isatty() and not quiet,
    )
    if not quiet:
        typer.echo(address)


def _checked(
    directory: Path,
    interruption: Interruption,
    *,
    inputs: bool,
    threads: int | None,
    quiet: bool,
) -> None:
    """Verify a directory and tell what is found; raises RunError if something differs."""
    from mergegraph.progress import Counter
    from mergegraph.trust import verification

    counter = Counter("checking", verification.weights_nbytes(directory), quiet=quiet)
    interruption.before_telling(counter.hide)
    with counter:
        found = verification.verify(
            directory, inputs=inputs, threads=threads, on_bytes=counter.advance
        )
    _tell(directory, found.differences, found.notes)
    if not quiet:
        for note in found.notes:
            typer.echo(_line(directory, note), err=True)
        fact = "is as the manifest says" if found.has_manifest else "is sound"
        typer.echo(f"{directory}: every tensor {fact}")


def _tell(directory: Path, differences: tuple[str, ...], notes: tuple[str, ...] = ()) -> None:
    if differences:
        raise RunError(*(_line(directory, each) for each in (*differences, *notes)))


def _line(directory: Path, fact: str) -> str:
    return f"{directory}: {printable(fact)}"
