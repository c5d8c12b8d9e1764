"""The rows of the table: what is run, by which programs, and what is promised of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.family import MODELS, WEIGHTS
from benchmarks.judge import (
    FLOOR,
    MIB,
    OURS,
    THEIRS,
    THROUGH_DISK,
    Target,
    faster_than_mergekit,
    floor_row,
    over_floor,
    peak_within,
    seconds_within,
    smaller_than_mergekit,
    staged,
    together,
)
from benchmarks.stages import Stage, inputs_of, stage

PYTHON = "python"
OUT = "out"  # where every program writes; emptied after each run
LIGHT, HEAVY = 1.5, 2.0  # how far from the floor a merge may be
INTERPRETER = 400 * MIB  # for Python and torch, beside the budget

_LIMITS = "--memory {memory} --threads {threads}"
_RUN = f"mergegraph run --quiet {_LIMITS}"
_MERGEKIT = "--quiet --no-copy-tokenizer --num-threads {threads}"
_ALL = ("a", "b", "c")


@dataclass(frozen=True)
class Row:
    """Commands of each program that come to the same, and the targets they are held to.

    Several commands run one after another and count as one. `floor` is the row of the least that
    could be done, `beside` are further rows that it is compared with.
    """

    name: str
    programs: Mapping[str, Sequence[str]]
    inputs: tuple[str, ...] = ()
    results: int = 0
    recipes: Mapping[str, Sequence[Stage]] | None = None
    targets: tuple[Target, ...] = ()
    floor: str | None = None
    beside: tuple[str, ...] = ()
    most_repeats: int | None = None


def make_rows(budget: int) -> dict[str, Row]:
    """Every row by name, for a memory budget in bytes."""
    peak = budget + INTERPRETER
    rows = [*_floors(), *_merges(peak), _two_recipes(peak), _hierarchy(peak), *_plans()]
    return {each.name: each for each in rows}


def chosen_rows(rows: Mapping[str, Row], names: Iterable[str]) -> list[Row]:
    """The named rows, or all of them, with the rows they are compared with, in their order."""
    wanted = set(names) or set(rows)
    for row in reversed([*rows.values()]):
        if row.name in wanted:
            wanted.update(row.beside)
            wanted.update([row.floor] if row.floor else [])
    return [row for row in rows.values() if row.name in wanted]


def _floors() -> list[Row]:
    """Reading some models and writing one; of none, the writing alone."""
    return [
        Row(floor_row(len(inputs)), {FLOOR: [_floor_command(inputs)]}, inputs, results=1)
        for inputs in ((), ("a", "b"), _ALL, MODELS)
    ]


def _floor_command(inputs: Iterable[str]) -> str:
    files = [f"{name}/{WEIGHTS}" for name in ("base", *inputs)]
    return " ".join(["floor", f"{OUT}/{WEIGHTS}", *files])


def _merges(peak: int) -> list[Row]:
    pruned = {"weight": 0.4, "density": 0.5}
    against_mergekit = {"linear": 5, "ties": 20, "breadcrumbs": 20}
    merges = {
        "linear": (LIGHT, stage("linear", _ALL, weight=1.0)),
        "slerp": (LIGHT, stage("slerp", ["b"], "a", t=0.4)),
        "task_arithmetic": (LIGHT, stage("task_arithmetic", _ALL, "base", weight=0.4)),
        "ties": (HEAVY, stage("ties", _ALL, "base", **pruned)),
        "dare_linear": (LIGHT, stage("dare_linear", _ALL, "base", **pruned)),
        "dare_ties": (LIGHT, stage("dare_ties", _ALL, "base", **pruned)),
        "della": (HEAVY, stage("della", _ALL, "base", **pruned, epsilon=0.1)),
        "breadcrumbs": (HEAVY, stage("breadcrumbs", _ALL, "base", **pruned, gamma=0.01)),
        "model_stock": (LIGHT, stage("model_stock", _ALL, "base")),
    }
    return [
        _merge(name, merge, limit, peak, against_mergekit.get(name))
        for name, (limit, merge) in merges.items()
    ]


def _merge(name: str, merge: Stage, limit: float, peak: int, factor: float | None) -> Row:
    inputs = inputs_of(merge)
    targets = [over_floor(name, len(inputs), limit), peak_within(name, peak)]
    if factor is not None:
        targets += [faster_than_mergekit(name, factor), smaller_than_mergekit(name, 0.1)]
    return Row(
        name,
        {OURS: [_our_run(name)], THEIRS: [_their_run(name)]},
        inputs,
        results=1,
        recipes={name: [merge]},
        targets=tuple(targets),
        floor=floor_row(len(inputs)),
    )


def _two_recipes(peak: int) -> Row:
    """Two rows from above, in one run; they have all inputs and all task vectors in common."""
    name, alone = "two_recipes", ("ties", "task_arithmetic")
    return Row(
        name,
        {
            OURS: [f"{_RUN} --out {OUT} " + " ".join(map(_recipe, alone))],
            THEIRS: [_their_run(each) for each in alone],
        },
        inputs=MODELS,
        results=len(alone),
        targets=(together(name, alone, 1.3), peak_within(name, peak)),
        beside=(floor_row(0), *alone),
    )


def _hierarchy(peak: int) -> Row:
    """Three stages, the later made of the earlier ones: in one run, and one by one."""
    name = "hierarchy"
    x = stage("linear", ["a", "b"], weight=1.0)
    stages = [
        {"name": "x", **x},
        {"name": "y", **stage("task_arithmetic", ["c", "x"], "base", weight=0.5)},
        stage("slerp", ["y"], "x", t=0.4),
    ]
    stored_x, stored_y = f"{OUT}/{name}/x", f"{OUT}/{name}/y"
    singles = {
        f"{name}/x": [x],
        f"{name}/y": [stage("task_arithmetic", ["c", stored_x], "base", weight=0.5)],
        f"{name}/result": [stage("slerp", [stored_y], stored_x, t=0.4)],
    }
    multi = (
        f"mergekit-multi {_recipe(name)} --intermediate-dir {OUT}/stages --out-path {OUT}/{name}"
    )
    return Row(
        name,
        {
            OURS: [_our_run(name)],
            THROUGH_DISK: [_our_run(each) for each in singles],
            THEIRS: [f"{multi} {_MERGEKIT}"],
        },
        inputs=MODELS,
        results=1,
        recipes={name: stages, **singles},
        targets=(staged(name, 0.5), peak_within(name, peak)),
        floor=floor_row(len(MODELS)),
    )


def _plans() -> list[Row]:
    """What is done without a byte of weights."""
    return [
        Row("start", {PYTHON: ['python -c "import torch"']}),
        Row("help", {OURS: ["mergegraph --help"]}, targets=(seconds_within("help", 0.3),)),
        _plan("plan_7b", "dense", (seconds_within("plan_7b", 1.0),)),
        _plan(
            "plan_60000",
            "mixture",
            (seconds_within("plan_60000", 30.0), peak_within("plan_60000", 2048 * MIB)),
            most_repeats=1,
        ),
    ]


def _plan(
    name: str, family: str, targets: tuple[Target, ...], most_repeats: int | None = None
) -> Row:
    base, *models = (f"{family}/{each}" for each in MODELS)
    merge = stage("ties", models, base, weight=0.4, density=0.5)
    command = f"mergegraph plan {_LIMITS} --out {OUT}/{name} {_recipe(name)}"
    return Row(
        name,
        {OURS: [command]},
        recipes={name: [merge]},
        targets=targets,
        most_repeats=most_repeats,
    )


def _recipe(name: str) -> str:
    return f"recipes/{name}.yaml"


def _our_run(name: str) -> str:
    return f"{_RUN} --out {OUT}/{name} {_recipe(name)}"


def _their_run(name: str) -> str:
    return f"mergekit-yaml {_recipe(name)} {OUT}/{name} {_MERGEKIT}"
