"""Kinship as JSON and back: the sums of every tensor, and what follows from them for all."""

from __future__ import annotations

import json
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.kinship.metrics import AGGREGATES, METRICS, Sums, Table
from mergegraph.kinship.values import Kinship, TensorSums, likenesses, norms, signs

SCHEMA = "mergegraph.kinship/1"


def to_json(kinship: Kinship) -> dict[str, Any]:
    """A measured kinship as JSON."""
    return {
        "schema": SCHEMA,
        "base": kinship.base,
        "models": list(kinship.names),
        "notes": list(kinship.notes),
        "entries": kinship.total.entries,
        "kinship": {
            aggregate: {
                metric: {
                    "matrix": kinship.matrix(metric, aggregate=aggregate),
                    "group": kinship.group(metric, aggregate=aggregate),
                }
                for metric in METRICS
            }
            for aggregate in AGGREGATES
        },
        "norms": _norms(kinship.total),
        "signs": _signs(kinship.total),
        "layers": {name: _part(sums) for name, sums in kinship.layers.items()},
        "kinds": {name: _part(sums) for name, sums in kinship.kinds.items()},
        "tensors": [_tensor(each) for each in kinship.tensors],
    }


def _part(sums: Sums) -> dict[str, Any]:
    return {
        "entries": sums.entries,
        "kinship": {metric: likenesses(sums, metric) for metric in METRICS},
        "norms": _norms(sums),
        "signs": _signs(sums),
    }


def _norms(sums: Sums) -> dict[str, Any]:
    found = norms(sums)
    return {"base": found.base, "changes": found.changes}


def _signs(sums: Sums) -> dict[str, Any]:
    """The shares of entries that both of a pair have changed."""
    count = range(len(sums.sums))
    found = [[signs(sums, i, j) for j in count] for i in count]
    return {
        "same": [[each.same for each in row] for row in found],
        "opposite": [[each.opposite for each in row] for row in found],
    }


def _tensor(each: TensorSums) -> dict[str, Any]:
    return {
        "name": each.name,
        "kind": each.kind,
        "layer": each.layer,
        "entries": each.sums.entries,
        "base": each.sums.base,
        "sums": each.sums.sums,
        "dots": each.sums.dots,
        "same": each.sums.same,
        "opposite": each.sums.opposite,
    }


def to_text(kinship: Kinship) -> str:
    """The JSON as text, a tensor to a line."""
    told = to_json(kinship)
    tensors = ",\n  ".join(json.dumps(each) for each in told.pop("tensors"))
    head = json.dumps(told, indent=1).removesuffix("\n}")
    return f'{head},\n "tensors": [\n  {tensors}\n ]\n}}\n'


def from_json(told: Any, source: str = "kinship") -> Kinship:
    """The kinship that a JSON tells of; raises MergeGraphError if it is none."""
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        found = told.get("schema") if isinstance(told, dict) else None
        raise MergeGraphError(f"{source}: schema {found!r} is not {SCHEMA}; measure it again")
    try:
        kinship = Kinship(
            str(told["base"]),
            tuple(map(str, told["models"])),
            tuple(_tensor_from(each) for each in told["tensors"]),
            tuple(map(str, told["notes"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MergeGraphError(f"{source}: is not whole: {error!r}; measure it again") from error
    count = len(kinship.names)
    if any(len(each.sums.sums) != count for each in kinship.tensors):
        raise MergeGraphError(f"{source}: has sums of another number of models; measure it again")
    return kinship


def from_text(text: str, source: str = "kinship") -> Kinship:
    """The same of its text."""
    try:
        return from_json(json.loads(text), source)
    except ValueError as error:
        raise MergeGraphError(f"{source}: is not JSON: {error}") from error


def _tensor_from(told: Any) -> TensorSums:
    sums = Sums(
        entries=int(told["entries"]),
        base=float(told["base"]),
        sums=tuple(map(float, told["sums"])),
        dots=_table(told["dots"]),
        same=_table(told["same"]),
        opposite=_table(told["opposite"]),
    )
    layer = None if told["layer"] is None else str(told["layer"])
    return TensorSums(str(told["name"]), str(told["kind"]), layer, sums)


def _table(rows: Any) -> Table:
    return tuple(tuple(map(float, row)) for row in rows)
