"""The folder of a search: its files, each written as a whole or not at all, and taken away."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from shutil import rmtree

from mergegraph.provenance.manifest import MANIFEST
from mergegraph.secrecy import without_secrets
from mergegraph.writing.found import partial_path, replaced_path
from mergegraph.writing.journal import JOURNAL

RECORD = "search.json"
BEST = "best.yaml"
MODEL = "model"
TABLE = "trials.csv"
FRONT = "pareto"  # the folder of recipes, where several are best
RECIPES = "recipes"  # that of every member's
GENERATION = "generation-{}.yaml"
BEST_ONES = (BEST, f"{FRONT}/*.yaml")
MEMBERS = (GENERATION.format("*"), f"{RECIPES}/*.yaml")


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there as a whole or as it was; secrets are taken out."""
    text = without_secrets(text)
    if path.is_file() and path.read_bytes() == text.encode():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def tidy(folder: Path, patterns: Iterable[str], *, but: Collection[str] = ()) -> None:
    """Take away files by the patterns of their paths in the folder, but for some of them."""
    for path in (each for pattern in patterns for each in folder.glob(pattern)):
        if path.relative_to(folder).as_posix() not in but:
            path.unlink()
    for inside in (folder / FRONT, folder / RECIPES):
        if inside.is_dir() and not any(inside.iterdir()):
            inside.rmdir()


def clear(folder: Path) -> None:
    """Take away what an earlier search has left, its model too, and nothing of anybody else."""
    tidy(folder, (RECORD, TABLE, *BEST_ONES, *MEMBERS))
    model = folder / MODEL
    for path in (model, partial_path(model), replaced_path(model)):
        if path.is_symlink():
            path.unlink()
        elif (path / MANIFEST).is_file() or (path / JOURNAL).is_file():
            rmtree(path)
