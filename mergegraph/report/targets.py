"""Targets: what a report is asked of, a recipe, a result or a search, opened and told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mergegraph.breed.rounds import ROUNDS
from mergegraph.errors import MergeGraphError
from mergegraph.models.model import Model
from mergegraph.plugins import Plugins
from mergegraph.provenance.ancestry import family_of
from mergegraph.provenance.lineage import Ancestor
from mergegraph.provenance.manifest import MANIFEST, Manifest, read_manifest
from mergegraph.recipe import read_recipe
from mergegraph.report.gathering import Looked, look, model_of
from mergegraph.report.measuring import Survey, survey
from mergegraph.search.folder import RECORD
from mergegraph.search.record import Bred, Evolved, read_record
from mergegraph.settings import Settings
from mergegraph.trust.recall import recalled, working_in
from mergegraph.trust.reproduction import request_of


@dataclass(frozen=True)
class Wanted:
    """What is asked for of every target: a base in place of the recipe's, and whether to read."""

    base: str | None = None
    is_quick: bool = False
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True)
class Opened:
    """A target with what can be known of it before a reading; `why_not` says what is missing.

    `start` is the directory that relative paths of its recipe begin from.
    """

    name: str
    start: Path
    looked: Looked | None = None
    survey: Survey | None = None
    manifest: Manifest | None = None
    family: Ancestor | None = None
    record: Evolved | Bred | None = None
    why_not: str = ""


def open_target(path: Path, wanted: Wanted, plugins: Plugins) -> Opened:
    """What a path names; raises MergeGraphError if a report cannot be made of it."""
    if path.is_file():
        return _recipe(path, wanted, plugins)
    if (path / RECORD).is_file():
        return Opened(path.resolve().name, Path.cwd(), record=read_record(path))
    if (path / MANIFEST).is_file():
        return _result(path, wanted, plugins)
    if (path / ROUNDS).is_file():
        fact = "holds rounds of contributions"
        raise MergeGraphError(f"{path}: {fact}; name what came of one, such as {path}/round-1")
    if path.is_dir():
        fact = f"holds neither {MANIFEST} nor {RECORD}"
        raise MergeGraphError(f"{path}: {fact}; name a recipe, a result, or the folder of a search")
    raise MergeGraphError(
        f"{path}: is not there; name a recipe, a result, or the folder of a search"
    )


def _recipe(path: Path, wanted: Wanted, plugins: Plugins) -> Opened:
    """A recipe: it must be one that could be run."""
    recipe = read_recipe(str(path), plugins.methods, wanted.settings.overrides)
    looked = look(recipe, plugins, wanted.settings)
    return _with_reading(Opened(recipe.name, Path.cwd(), looked), wanted, {})


def _result(path: Path, wanted: Wanted, plugins: Plugins) -> Opened:
    """A result: what it was made of may be gone, or no longer what it was."""
    manifest = read_manifest(path)
    assert manifest is not None, "there is a manifest"
    name = path.resolve().name
    opened = Opened(name, Path.cwd(), manifest=manifest, family=family_of(path))
    if manifest.made.command != "run":
        told = f"It was made by mergegraph {manifest.made.command}, and by no recipe of a merge."
        return replace(opened, why_not=told)
    try:
        start, found = recalled(manifest, path, plugins)
        lost = [each for each in found if each.differences]
        if lost:
            told = "; ".join(f"{each.ancestor.model}: {each.differences[0]}" for each in lost[:3])
            return replace(opened, why_not=f"Its inputs are not what they were ({told}).")
        return _again(path.resolve(), replace(opened, start=start), wanted, plugins)
    except MergeGraphError as error:
        return replace(opened, why_not=f"Its recipe cannot be planned again ({error}).")


def _again(path: Path, opened: Opened, wanted: Wanted, plugins: Plugins) -> Opened:
    """A result whose inputs are there: its recipe planned, and itself one of the models."""
    assert opened.manifest is not None, "it is a result"
    recipe, settings = request_of(opened.manifest.made, plugins, is_first=False)
    own = wanted.settings
    chosen = replace(settings, memory=own.memory, threads=own.threads, shard_size=own.shard_size)
    with working_in(opened.start):
        looked = look(recipe, plugins, chosen)
        made = model_of(looked, str(path), "result")
        return _with_reading(
            replace(opened, looked=looked), wanted, {f"{opened.name} (the result)": made}
        )


def _with_reading(opened: Opened, wanted: Wanted, more: Mapping[str, Model]) -> Opened:
    """The same with a reading of the inputs planned, unless it is to be quick."""
    assert opened.looked is not None, "it has a recipe"
    looked = opened.looked
    if wanted.is_quick:
        return replace(opened, why_not="Nothing was read for this report (--quick).")
    name = wanted.base or looked.base
    base = None if name is None else model_of(looked, name, "--base" if wanted.base else "base")
    found = {key: each for key, each in looked.inputs.items() if each is not base}
    made = survey(looked, {**found, **more}, base, wanted.settings)
    told = "" if base else "The recipe names no base; with --base its models can be compared."
    return replace(opened, survey=made, why_not=told)
