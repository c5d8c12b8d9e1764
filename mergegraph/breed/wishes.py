"""Wishes: what a population is to be bred of, and how; checked before any work."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mergegraph.breed.defaults import AVERAGE, PAIR, PAIR_VALUES
from mergegraph.breed.soup import ACCEPT
from mergegraph.errors import MergeGraphError, nearest
from mergegraph.methods import Method
from mergegraph.recipe.source import UNPRINTABLE, read_documents

TOPK, SOUP, COLD = STRATEGIES = ("topk", "soup", "cold")
POOL, TOP = CANDIDATES = ("pool", "topk")
PCC, COSINE, EUCLIDEAN = METRICS = ("pcc", "cosine", "euclidean")
EARLY = 0.9  # the mean kinship from which on a top is one model in several copies

_OWN = re.compile(r"model-\d+-(?:\d+|exp)")  # what children are called
_PAIR = 2


@dataclass(frozen=True)
class Wishes:
    """What was asked for. `early_stop` is None where nothing is to stop early."""

    models: tuple[str, ...]
    strategy: str = TOPK
    base: str | None = None
    method: str = PAIR
    parameters: Mapping[str, Any] = field(default_factory=dict)
    k: int = 3
    metric: str = PCC
    explores: bool = True
    candidates: str = POOL
    early_stop: float | None = EARLY
    max_generations: int = 10
    accept: str = ">="
    dtype: str | None = None
    seed: int = 0

    @property
    def wants_kinship(self) -> bool:
        """Whether anything depends on how near models are to each other."""
        return self.strategy == TOPK and (self.explores or self.early_stop is not None)

    @property
    def bond(self) -> Mapping[str, str]:
        """What the same search always has in common with itself, but for its models and data.

        More generations may be asked for of the same search.
        """
        told: dict[str, Any] = {"the strategy": self.strategy, "the seed": self.seed}
        if self.strategy == TOPK:
            told |= {
                "the method": self.method,
                "the parameters": json.dumps(dict(self.parameters), sort_keys=True),
                "--k": self.k,
                "--metric": self.metric,
                "exploration": self.explores,
                "--candidates": self.candidates,
                "--early-stop": self.early_stop,
            }
        elif self.strategy == SOUP:
            told |= {"--accept": self.accept}
        return {"the base": str(self.base), **{k: str(v) for k, v in told.items()}}


def wishes_of(strategy: str, models: Sequence[str], given: Mapping[str, Any]) -> Wishes:
    """Wishes as they are given on the command line, None for what is not; False is for none."""
    words = {
        "base": given["--base"],
        "method": given["--method"],
        "k": given["--k"],
        "metric": given["--metric"],
        "explores": given["--explore"],
        "candidates": given["--candidates"],
        "max_generations": given["--max-generations"],
        "accept": given["--accept"],
        "dtype": given["--dtype"],
        "seed": given["--seed"],
    }
    made = Wishes(tuple(models), strategy, **{k: v for k, v in words.items() if v is not None})
    values = parameters_of(given["--parameter"] or ())
    own = PAIR_VALUES if made.method == PAIR else {}
    early = given["--early-stop"]
    usual = None if made.metric == EUCLIDEAN else EARLY
    return replace(
        made,
        parameters={**own, **values},
        early_stop=usual if early is None else (early if early is not False else None),
    )


def check(wishes: Wishes, methods: Mapping[str, Method]) -> None:
    """Raise MergeGraphError if something is wrong with what was asked for."""
    for fact in _facts(wishes, methods):
        raise MergeGraphError(fact)


def _facts(wishes: Wishes, methods: Mapping[str, Method]) -> Iterator[str]:
    """What is wrong, the worst first."""
    models = wishes.models
    for word, value, known in (
        ("--strategy", wishes.strategy, STRATEGIES),
        ("--metric", wishes.metric, METRICS),
        ("--candidates", wishes.candidates, CANDIDATES),
        ("--accept", wishes.accept, tuple(ACCEPT)),
    ):
        if value not in known:
            yield f"{word} {value}: not one of {', '.join(known)}"
    if wishes.strategy != COLD and len(models) < _PAIR:
        yield f"{len(models)} model is given, and at least two are needed"
    for each in models:
        if models.count(each) > 1:
            yield f"{each}: is given {models.count(each)} times; give every model once"
        if _OWN.fullmatch(each):
            yield f"{each}: is what a child is called; write ./{each}"
    if AVERAGE not in methods:
        yield f"the method {AVERAGE} is not installed"
    if wishes.strategy == TOPK:
        yield from _facts_of_topk(wishes, methods)


def _facts_of_topk(wishes: Wishes, methods: Mapping[str, Method]) -> Iterator[str]:
    if wishes.method not in methods:
        yield f"--method {wishes.method}: is not installed{nearest(wishes.method, methods)}"
        return
    method = methods[wishes.method]
    if _PAIR not in method.counts:
        yield f"--method {method.name}: merges {method.takes}, and pairs are to be merged"
    if method.needs_base and wishes.base is None:
        yield f"--method {method.name}: needs a base; give --base"
    for name in wishes.parameters:
        if name not in method.parameters and name not in method.without_effect:
            fact = f"{method.name} has no such parameter{nearest(name, method.parameters)}"
            yield f"--parameter {name}: {fact}"
    if wishes.wants_kinship and wishes.base is None:
        fact = "kinship is that of what models have added to their base; give --base"
        yield f"{fact}, or do without: --no-explore --no-early-stop"
    if wishes.k < _PAIR:
        yield f"--k {wishes.k}: at least {_PAIR} are needed, as pairs are merged"
    if wishes.max_generations < 1:
        yield f"--max-generations {wishes.max_generations}: at least one is needed"
    if wishes.early_stop is not None and wishes.metric != EUCLIDEAN and wishes.early_stop > 1:
        yield f"--early-stop {wishes.early_stop:g}: {wishes.metric} is 1 at most"


def parameters_of(given: Sequence[str]) -> dict[str, Any]:
    """Values by name, of words such as `t=0.5` or `t=[0, 0.5, 0.3, 0.7, 1]`."""
    found: dict[str, Any] = {}
    for each in given:
        name, sign, text = each.partition("=")
        if not sign or not name or UNPRINTABLE.search(each):
            raise MergeGraphError(f"--parameter {each}: write NAME=VALUE")
        if name in found:
            raise MergeGraphError(f"--parameter {name}: is given twice")
        documents = read_documents(f"--parameter {each}", text)
        if any(document.problems for document in documents) or len(documents) > 1:
            raise MergeGraphError(f"--parameter {each}: '{text}' is not one value")
        found[name] = documents[0].data if documents else None
    return found
