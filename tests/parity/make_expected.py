"""Remake the stored results: run every recipe with mergekit.

Needs an environment of its own, because mergekit pins other versions than ours:

    python -m venv mergekit-environment
    mergekit-environment/bin/pip install mergekit==0.1.5
    mergekit-environment/bin/python tests/parity/make_expected.py

What is stored was made by mergekit 0.1.5 with torch 2.13.0, transformers 5.23.0, pydantic 2.14.3,
safetensors 0.8.0 and numpy 2.4.6. Only its command line is used, through its entry points and in
one process, since each of its starts takes seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
from families import write_families
from safetensors.numpy import load_file

HERE = Path(__file__).resolve().parent
DRAWN = "model.embed_tokens.weight"
QUIET = ("--quiet", "--no-copy-tokenizer", "--no-write-model-card", "--random-seed", "1")


def main() -> None:
    """Make one file for each recipe."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE / "expected")
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_families(Path())
        for recipe in sorted((HERE / "recipes").glob("*.yaml")):
            merge(recipe, Path("merged"))
            keep = keep_draws if recipe.stem.startswith("random_") else keep_tensors
            keep(recipe.stem, out)
            shutil.rmtree("merged")


def merge(recipe: Path, out: Path) -> None:
    """Run mergekit as its own command would: recipes of many stages have one of their own."""
    if recipe.read_text().count("\n---\n"):
        stages = Path("stages", recipe.stem)
        command("mergekit-multi")(
            [*QUIET, "--out-path", str(out), "-I", str(stages), str(recipe)], standalone_mode=False
        )
    else:
        command("mergekit-yaml")([*QUIET, str(recipe), str(out)], standalone_mode=False)


def keep_tensors(name: str, out: Path) -> None:
    """Keep the whole result."""
    shutil.copy("merged/model.safetensors", out / f"{name}.safetensors")


def keep_draws(name: str, out: Path) -> None:
    """Keep which entries of one tensor were drawn, and what became of their sum of magnitudes."""
    base, far, merged = (
        load_file(folder / "model.safetensors")[DRAWN]
        for folder in (Path("wide/base"), Path("wide/far"), Path("merged"))
    )
    strength = np.abs(merged - base).sum() / np.abs(far - base).sum()
    np.savez(out / f"{name}.npz", kept=np.packbits(merged != base), strength=strength)


def command(name: str):
    """The function behind a command of the environment."""
    (found,) = entry_points(group="console_scripts", name=name)
    return found.load()


if __name__ == "__main__":
    main()
