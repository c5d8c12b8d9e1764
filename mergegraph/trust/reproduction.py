"""Reproduction: a result made again from what its manifest tells, and compared with it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.pipeline import finish
from mergegraph.plugins import Plugins, installed_plugins
from mergegraph.preparing import Prepared, prepare_recipes
from mergegraph.provenance.digesting import digest_file
from mergegraph.provenance.frontmatter import CARD
from mergegraph.provenance.manifest import MANIFEST, Made, Manifest, read_manifest
from mergegraph.recipe import Recipe, Stage, parse_recipe
from mergegraph.running.execute import Progress
from mergegraph.settings import SHARD_SIZE, Settings
from mergegraph.trust.recall import at_commits, recalled, working_in
from mergegraph.writing.made import package_versions


@dataclass(frozen=True)
class Repeat:
    """A run ready to be repeated; `doubts` are what differs from when it was run."""

    folder: Path
    manifest: Manifest
    prepared: Prepared
    doubts: tuple[str, ...]

    def run(self, progress: Progress | None = None) -> tuple[str, ...]:
        """Run it; gives how what came of it differs, tensor by tensor and file by file."""
        finish(self.prepared, progress=progress)
        (directory,) = self.prepared.plan.directories
        made = read_manifest(directory.path)
        assert made is not None
        return (*_of_tensors(self.manifest, made), *_of_sides(self.folder, self.manifest, made))


@contextmanager
def repeating(
    path: Path,
    *,
    out: Path | None = None,
    memory: str | int | None = None,
    threads: int | None = None,
    anyway: bool = False,
    on_scratch: Callable[[Path], object] = lambda _folder: None,
) -> Iterator[Repeat]:
    """Make ready to run again what made a result; nothing of it is left behind but `out`.

    `on_scratch` is told of the directory that is gone afterwards, as soon as it is made.
    Raises MergeGraphError if inputs or packages are not what they were, unless told to go on
    `anyway`.
    """
    manifest = read_manifest(path)
    if manifest is None:
        raise MergeGraphError(f"{path}: holds no {MANIFEST} that says how to make it again")
    if manifest.made.command != "run":
        fact = f"was made by mergegraph {manifest.made.command}, which cannot be repeated yet"
        raise MergeGraphError(f"{path}: {fact}; its card says how it was made")
    plugins = installed_plugins()
    start, inputs = recalled(manifest, path, plugins)
    doubts = [*_of_packages(manifest, plugins)]
    doubts += [f"input {each.ancestor.model}: {d}" for each in inputs for d in each.differences]
    if doubts and not anyway:
        told = (f"{path}: {each}" for each in doubts)
        raise MergeGraphError(*told, f"{path}: the bytes may differ; --anyway goes on")
    pinned = replace(plugins, sources=at_commits(plugins.sources, manifest.inputs))
    folder, wanted = path.resolve(), None if out is None else out.absolute()
    recipe, settings = request_of(manifest.made, plugins, is_first=manifest.sides is None)
    chosen = replace(settings, memory=memory, threads=threads)
    with _place(folder, wanted, on_scratch) as place, working_in(start):
        prepared = prepare_recipes([recipe], pinned, chosen, places=[place])
        yield Repeat(folder, manifest, prepared, tuple(doubts))


@contextmanager
def _place(folder: Path, out: Path | None, on_scratch: Callable[[Path], object]) -> Iterator[Path]:
    """Where the result goes: a directory beside the first that is gone afterwards, or `out`."""
    if out is not None:
        if out.exists():
            raise MergeGraphError(
                f"--out {out}: exists already; name a directory that is not there"
            )
        yield out
        return
    try:
        above = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        fact = f"no directory can be made beside it ({error.strerror}); name one by --out"
        raise MergeGraphError(f"{folder}: {fact}") from error
    on_scratch(above)
    try:
        yield above / folder.name
    finally:
        shutil.rmtree(above, ignore_errors=True)


def request_of(made: Made, plugins: Plugins, *, is_first: bool) -> tuple[Recipe, Settings]:
    """The recipe with nothing but the stages that are needed, and the settings of the run."""
    recipe = parse_recipe(f"{made.recipe}.yaml", made.text, plugins.methods, made.settings)
    wanted = next((stage for stage in recipe.stages if stage.name == made.stage), None)
    if wanted is None and not recipe.problems:
        raise MergeGraphError(f"{recipe.file}: has no stage '{made.stage}'")
    seed = made.seed
    if is_first and wanted is not None and seed == (wanted.seed or 0):
        seed = None  # format 1 tells it whether it was given or the recipe's own
    settings = Settings(
        device=made.device,
        seed=seed,
        shard_size=made.shard_size or SHARD_SIZE,
        overrides=made.settings,
    )
    return (recipe if wanted is None else _alone(recipe, wanted)), settings


def _alone(recipe: Recipe, wanted: Stage) -> Recipe:
    """The recipe of one of its stages, with those that it stands on; none is written elsewhere."""
    named = {stage.name: stage for stage in recipe.stages if stage.name is not None}
    needed, found = [wanted], {id(wanted)}
    for stage in needed:
        for model, _ in stage.models():
            below = named.get(model)
            if below is not None and id(below) not in found:
                found.add(id(below))
                needed.append(below)
    unwritten = {id(stage): replace(stage, out=None) for stage in needed}
    stages = tuple(unwritten[id(each)] for each in recipe.stages if id(each) in unwritten)
    return replace(recipe, stages=stages, result=unwritten[id(wanted)])


# -- what differs ----------------------------------------------------------------------------


def _of_packages(manifest: Manifest, plugins: Plugins) -> Iterator[str]:
    now = package_versions()
    for name, before in manifest.packages.items():
        if now.get(name) != before:
            yield f"was made with {name} {before}, here is {now.get(name, 'none')}"
    for name, used in manifest.methods.items():
        package = plugins.packages.get(name)
        if package is None:
            yield f"method {name} of {used.package} is not installed"
        elif package != used.package:
            yield f"method {name} was of {used.package}, here it is of {package}"


def _of_tensors(before: Manifest, now: Manifest) -> Iterator[str]:
    for name, told in before.tensors.items():
        found = now.tensors.get(name)
        if found is None:
            yield f"{name}: is not made any more"
        elif (found.shape, found.dtype) != (told.shape, told.dtype):
            yield f"{name}: was {told.dtype}{list(told.shape)}, is {found.dtype}{list(found.shape)}"
        elif found.sha256 != told.sha256:
            yield f"{name}: its bytes differ"
    yield from (f"{name}: was not made before" for name in now.tensors.keys() - before.tensors)


def _of_sides(folder: Path, before: Manifest, now: Manifest) -> Iterator[str]:
    """The files beside the weights but the card, which is meant to be written on."""
    told = before.sides
    if told is None:
        there = (name for name in now.sides or () if (folder / name).is_file())
        told = {name: digest_file(folder / name) for name in there}
    made = now.sides or {}
    for name in sorted({*told, *made} - {CARD}):
        if told.get(name) != made.get(name):
            fact = "its bytes differ" if name in told and name in made else "is not in both"
            yield f"{name}: {fact}"
