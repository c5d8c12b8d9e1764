"""Places that recipes name for results: in the open, or where the user is at work."""

from __future__ import annotations

from collections.abc import Iterator
from os.path import abspath
from pathlib import Path

from mergegraph.errors import Problem
from mergegraph.recipe import Stage
from mergegraph.recipe.settings import OPTION

_OF_PACKAGES = {"site-packages", "dist-packages"}  # what stands there, Python runs


def wandering(stage: Stage, path: Path, place: Path) -> Iterator[Problem]:
    """What is wrong with the `out` of a stage, unless the user has said it on the command line.

    A recipe may come from anyone, and its models bring files by names of their own: those must not
    come to be in `~/.ssh`, among the packages of Python, or wherever `..` leads from where it runs.
    """
    if stage.out is None or stage.out_place.startswith(OPTION):
        return
    is_stated = path.is_absolute() and ".." not in path.parts and _is_open(path)
    if not is_stated and not any(_is_below(path, each) for each in (Path.cwd(), place.parent)):
        fact = "leads out of the directory you are in, or to what is hidden; if it is meant, say"
        named = f"{stage.name}:" if stage.name else ""
        yield Problem(stage.out_place, f"out {stage.out} {fact} {OPTION} {named}out={stage.out}")


def _is_below(path: Path, folder: Path) -> bool:
    """Whether a path is below a folder, in no hidden folder and in none of packages."""
    whole, above = Path(abspath(path)), Path(abspath(folder))  # noqa: PTH100 - links stay
    if ".." in path.parts:
        whole, above = path.resolve(), folder.resolve()
    if above not in whole.parents:
        return False
    return _is_open(whole.relative_to(above))


def _is_open(path: Path) -> bool:
    """Whether a path leads through no hidden folder, and through none of packages."""
    parts = path.parts
    return not _OF_PACKAGES.intersection(parts) and not any(p.startswith(".") for p in parts)
