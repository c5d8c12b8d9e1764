"""Weights of task vectors: set by hand, drawn, searched by CMA-ES; with equal numbers of tries."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from typing import Any

from evidence.generations.searches import SCORE, scores_of, words
from mergegraph.demo.skills import SKILLS
from mergegraph.plugins import installed_plugins

HAND, RANDOM, CMAES = "one weight for all, by hand", "random", "cmaes"
_HIGHEST = 1.2


def is_installed() -> bool:
    """Whether there is a command that searches."""
    return find_spec("mergegraph.evolve") is not None and find_spec("cmaes") is not None


def by_hand(folder: Path, seed: int, problems: int, *, tries: int) -> dict[str, Any]:
    """The best of so many strengths of the plain sum, as a person would try them in a row."""
    plugins, scratch = installed_plugins(), folder / f"hand-{seed}-{tries}"
    texts = [_recipe([_HIGHEST * (i + 1) / tries] * len(SKILLS)) for i in range(tries)]
    chosen = scores_of(texts, scratch, plugins, words(problems, "validation"))
    best = chosen.index(max(chosen))
    reported = scores_of([texts[best]], scratch, plugins, words(problems, "test"))
    return {"chosen": chosen[best], "reported": reported[0], "examined": tries}


def searched_weights(
    folder: Path, seed: int, problems: int, *, sampler: str, tries: int
) -> dict[str, Any]:
    """The best of so many candidates of a recipe that has a hole for each weight."""
    out = folder / f"weights-{seed}-{sampler}-{tries}"
    rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    recipe = out.with_suffix(".yaml")
    recipe.write_text(_recipe([{"search": [0.0, _HIGHEST]}] * len(SKILLS)), encoding="utf-8")
    asked = ["--evaluator", words(problems, "validation"), "--sampler", sampler]
    asked += ["--report-evaluator", words(problems, "test"), "--trials", str(tries)]
    more = ["--seed", str(seed), "--memory", "1GiB", "--threads", "1", "--no-model", "--quiet"]
    command = ["evolve", str(recipe), "--out", str(out), *asked, *more]
    subprocess.run([sys.executable, "-m", "mergegraph", *command], check=True)
    record = json.loads((out / "search.json").read_text(encoding="utf-8"))
    best = record["best"][0]
    trials = {each["number"]: each for each in record["trials"]}
    return {
        "chosen": trials[best]["scores"][SCORE],
        "reported": record["reported"][str(best)][SCORE],
        "examined": len(trials),
    }


def _recipe(weights: Sequence[Any]) -> str:
    """Task arithmetic with the four experts that are shipped."""
    models = [
        {"model": f"demo:{skill}", "parameters": {"weight": weight}}
        for skill, weight in zip(SKILLS, weights, strict=True)
    ]
    told = {"merge_method": "task_arithmetic", "base_model": "demo:base", "models": models}
    return json.dumps({**told, "parameters": {"lambda": 1.0}}, indent=1)
