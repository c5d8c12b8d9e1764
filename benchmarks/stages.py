"""Recipes of the rows: stages as data, written as YAML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.family import MODELS

Stage = dict[str, Any]


def stage(method: str, models: Iterable[str], base: str | None = None, **numbers: float) -> Stage:
    """One merge, its models named by their folder."""
    return {
        "merge_method": method,
        **({"base_model": base} if base else {}),
        "models": [{"model": each} for each in models],
        **({"parameters": numbers} if numbers else {}),
        "dtype": "bfloat16",
    }


def inputs_of(merge: Stage) -> tuple[str, ...]:
    """The models of the family that a stage reads, its base among them."""
    named = {merge.get("base_model"), *(each["model"] for each in merge["models"])}
    return tuple(each for each in MODELS if each in named)


def write_recipe(path: Path, stages: Sequence[Stage], folder: Path) -> None:
    """Write the stages as one file; models that are in `folder` are named by their whole path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    located = [_located(each, folder) for each in stages]
    path.write_text(yaml.safe_dump_all(located, sort_keys=False), encoding="utf-8")


def _located(merge: Stage, folder: Path) -> Stage:
    models = [{"model": _place(each["model"], folder)} for each in merge["models"]]
    base = {"base_model": _place(merge["base_model"], folder)} if "base_model" in merge else {}
    return {**merge, **base, "models": models}


def _place(model: str, folder: Path) -> str:
    """The whole path: other tools take `folder/name` for a model of the Hub."""
    path = folder / model
    return str(path.resolve()) if path.is_dir() else model
