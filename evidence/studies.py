"""What is measured of every bundled method: its inputs, its recommended setting, and a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from types import MappingProxyType
from typing import Any

from evidence.merges import RUNS, Merge, seeded
from mergegraph.methods import Method

SEEDS = 3  # of methods that draw
# tables, of which only the first compares methods
FOUR = "four experts in one model"
OWN = "four experts, a model for each task"
PAIR = "two experts, north and west"
ONE_SKILL = "three runs of north"
LAYERS = "six layers of north, on them the last two of east"
SIGNS = {"lambda": "λ", "alpha": "α", "beta": "β", "gamma": "γ", "epsilon": "ε"}

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """How one method is tried.

    `given` are values that recipes have to state, or that are said though they are the default;
    `sweep` those that are tried in place of the recommended ones, all combinations of them.
    """

    table: str = FOUR
    given: Values = field(default_factory=dict)
    sweep: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    merge: Merge = Merge("")  # noqa: RUF009 - it is frozen
    method: str = ""  # if the study has another name

    @property
    def is_served(self) -> bool:
        """Whether each task has a merge of its own."""
        return self.table == OWN


@dataclass(frozen=True)
class Setting:
    """Values of a method's parameters, and the merges that they come to: several if it draws."""

    values: Values
    merges: tuple[Merge, ...]

    @property
    def label(self) -> str:
        """The values in a few words."""
        told = (f"{SIGNS.get(name, name)} {_shown(value)}" for name, value in self.values.items())
        return ", ".join(told) or "defaults"


def recommended_setting(study: Study, method: Method) -> Setting:
    """What the method's authors recommend, and for the rest what a recipe has to state."""
    return _setting(study, method, {})


def swept_settings(study: Study, method: Method) -> list[Setting]:
    """The settings of the sweep, that of the recommendation first."""
    combinations = product(*study.sweep.values())
    changes = [dict(zip(study.sweep, each, strict=True)) for each in combinations]
    first = recommended_setting(study, method)
    defaults: Values = {name: each.default for name, each in method.parameters.items()}
    known = {**defaults, **first.values}
    swept = (_setting(study, method, each) for each in changes)
    return [first, *(each for each in swept if {**defaults, **each.values} != known)]


def _setting(study: Study, method: Method, changed: Values) -> Setting:
    values = {**method.recommended, **study.given, **changed}
    merge = replace(study.merge, method=method.name, parameters=values)
    told = {name: value for name, value in values.items() if name != "weight"}
    if study.is_served:
        tasks = range(1, len(merge.models) + 1)
        served = (replace(merge, parameters={**values, "task": task}) for task in tasks)
        return Setting(told, tuple(served))
    return Setting(told, seeded(merge, SEEDS) if method.draws else (merge,))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _four(given: Values, sweep: Mapping[str, Sequence[Any]]) -> Study:
    return Study(FOUR, given, sweep)


def _two(given: Values, sweep: Mapping[str, Sequence[Any]]) -> Study:
    """One of two experts stands in for the base."""
    return Study(PAIR, given, sweep, Merge("", models=("west",), base="north"))


_WEIGHT = {"weight": 1}
_FULL = {"lambda": 1}  # what recipes that say nothing have
_BOTH = {**_WEIGHT, **_FULL}
_SUMS = (0.4, 0.6, 0.8, 1.0)  # strengths of a sum of four task vectors, which hardly agree,
_MEANS = (1.0, 1.4, 1.8)  # of their mean where they do,
_TURNED = (0.8, 1.0, 1.2, 1.5)  # and of a sum whose parts were turned apart
_WITHOUT_BASE = Merge("", base=None)
_RUNS = Study(ONE_SKILL, merge=replace(_WITHOUT_BASE, models=RUNS))
_STACK = {
    "slices": [
        {"sources": [{"model": "demo:north", "layer_range": [0, 6]}]},
        {"sources": [{"model": "demo:east", "layer_range": [4, 6]}]},
    ]
}

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        # averaging
        "linear": Study(FOUR, _WEIGHT, merge=_WITHOUT_BASE),
        "karcher": Study(FOUR, merge=_WITHOUT_BASE),
        "multislerp": _four(_WEIGHT, {"log_map": ("projection", "exact")}),
        "slerp": _two({}, {"t": (0.3, 0.5, 0.7)}),
        "nuslerp": Study(
            PAIR,
            _WEIGHT,
            {"mode": ("flatten", "last", "first")},
            Merge("", models=("north", "west")),
        ),
        "nearswap": _two({}, {"t": (1e-4, 3e-4, 1e-3, 3e-3)}),
        "arcee_fusion": _two({}, {}),
        "model_stock": Study(
            ONE_SKILL, sweep={"filter_wise": (False, True)}, merge=Merge("", models=RUNS)
        ),
        # task vectors
        "task_arithmetic": _four(_WEIGHT, {"lambda": (0.3, 0.4, 0.5, 0.6, 0.8, 1.0)}),
        # sparse
        "ties": _four(_WEIGHT, {"density": (0.2, 0.5, 1.0), "lambda": _MEANS}),
        "dare_linear": _four(_BOTH, {"density": (0.5, 0.8), "lambda": (0.4, 0.6)}),
        "dare_ties": _four(_BOTH, {"density": (0.5, 0.8), "lambda": (1.0, 1.4)}),
        "della": _four(_WEIGHT, {"density": (0.5, 0.7), "lambda": (1.1, 1.5)}),
        "della_linear": _four(_WEIGHT, {"density": (0.5, 0.7), "lambda": (0.4, 0.6)}),
        "breadcrumbs": _four(_WEIGHT, {"beta": (0.85, 0.5, 0.15), "lambda": (*_SUMS, 1.4)}),
        "breadcrumbs_ties": _four(_WEIGHT, {"beta": (0.85, 0.5, 0.15), "lambda": (*_SUMS, 1.4)}),
        "sce": _four({}, {"select_topk": (0.1, 0.5, 1.0), "lambda": (*_MEANS, 2.4, 3.2)}),
        "cabs": _four({}, {"n": (32, 64), "lambda": (0.8, 1.0, 1.2, 1.5)}),
        "ram": _four({}, {"epsilon": (1e-5, 1e-3, 2e-3, 3e-3)}),
        "ramplus_tl": _four({}, {"epsilon": (1e-3, 2e-3), "r": (0.1, 0.5), "alpha": (0.2, 1.0)}),
        "consensus": _four(_FULL, {"lambda_mask": (0.2, 0.4, 0.6), "lambda": _SUMS}),
        # subspaces
        "tsv_merge": _four({}, {"lambda": _TURNED, "vocabulary": (False, True)}),
        "iso_c": _four({}, {"lambda": _TURNED, "vocabulary": (False, True)}),
        "iso_cts": _four({}, {"fraction": (0.8, 0.5), "lambda": _TURNED}),
        "star": _four({}, {"eta": (20, 40, 60, 80), "lambda": (1.0, 1.8, 2.4)}),
        "knots": _four({}, {"density": (0.2, 0.5, 1.0), "lambda": (0.6, *_MEANS)}),
        "wudi": _four({}, {"solver": ("adam", "closed_form"), "lambda": (0.6, *_TURNED)}),
        # whole models
        "pcb": _four(_FULL, {"ratio": (0.05, 0.1, 0.2), "lambda": (*_MEANS, 2.4, 3.2)}),
        "emr": Study(OWN),
        "consensus, task": Study(OWN, sweep={"lambda_mask": (0.2, 0.4, 0.6)}, method="consensus"),
        # layers
        "lines": _four({}, {"beta": (0.25, 0.5, 0.75, 1.0)}),
        "passthrough": Study(LAYERS, merge=Merge("", base=None, layout=_STACK)),
        # trajectories
        "magmax": _four({}, {"lambda": (0.4, 0.55, 0.8, 1.0, 1.3)}),
        "swa": _RUNS,
        "ema": replace(_RUNS, given={"decay": 0.7}, sweep={"decay": (0.3, 0.7, 0.9)}),
        "wsm": replace(_RUNS, sweep={"schedule": ("1-sqrt", "cosine", "linear")}),
    }
)
