"""Results in a plan: where they are, what they depend on, and what became of all inputs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mergegraph import config as configs
from mergegraph.errors import Problem
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.files.trees import Tree
from mergegraph.findings import Check
from mergegraph.library import Library
from mergegraph.models import scaled
from mergegraph.models.model import SideFiles
from mergegraph.names import part_of
from mergegraph.ops.arithmetic import load
from mergegraph.plans import Account, Directory, Output, Plan, plan_of


def whole_plan(
    outputs: Sequence[Output],
    checks: Sequence[Check],
    directories: Sequence[Directory],
    library: Library,
    notes: Iterable[str] = (),
) -> Plan:
    """The plan of some results, with what becomes of every tensor that was opened for them."""
    made = plan_of(outputs, checks)
    return replace(
        made,
        directories=tuple(directories),
        accounts=tuple(accounts_of(made, library.checkpoints)),
        notes=tuple(dict.fromkeys([*notes, *_remarks(library)])),
    )


def overlaps(directories: Sequence[Directory], library: Library) -> Iterator[Problem]:
    """Results that overlap each other, or the inputs."""
    local = [each for each in library.checkpoints if each.tree.is_local]
    inputs = [each.path.resolve() for each in local]
    before: list[Path] = []
    for each in directories:
        try:
            whole = each.path.resolve()
        except (OSError, RuntimeError):  # which of them for circles of links depends on Python
            fact = f"{each.path}: is a link that leads nowhere; choose another --out"
            yield Problem(each.origin.place, fact)
            continue
        taken = [(path, "written by another stage") for path in before]
        for other, what in (*taken, *((path, "an input") for path in inputs)):
            inside = other in whole.parents or whole in other.parents
            if whole == other or inside:
                how = f"overlaps {other}, which is {what}" if inside else f"is {what}"
                yield Problem(each.origin.place, f"{each.path} {how}; write somewhere else")
        before.append(whole)


def _remarks(library: Library) -> Iterable[str]:
    return (remark for each in library.checkpoints for remark in each.remarks)


def result_key(
    identity: str, outputs: Sequence[Output], config: configs.Config, sides: SideFiles
) -> str:
    """A digest of everything that the bytes of a result depend on."""
    digest = sha256(identity.encode())
    for each in outputs:
        digest.update(f"{each.name}\n{each.task.key}\n".encode())
    digest.update(json.dumps(config, sort_keys=True).encode())
    for name in sides.names:
        digest.update(f"{name}\n".encode() + _told(sides.tree, name))
    digest.update(json.dumps(dict(sides.texts or {}), sort_keys=True).encode())
    if sides.words:
        digest.update(json.dumps(dict(sides.words), sort_keys=True).encode())
    return digest.hexdigest()


def _told(tree: Tree | None, name: str) -> bytes:
    """What a side file holds; of one that is yet to be fetched, what its tree says of it."""
    if tree is None:
        return b""
    return tree.read(name) if tree.is_local else tree.identity(name).encode()


def main_dtypes(config: configs.Config, outputs: Sequence[Output]) -> dict[str, str]:
    """The dtype of each part of a model; of a model without parts that of the root."""
    parts: dict[str, list[Output]] = {"": []}
    for each in outputs:
        part = part_of(each.name)
        parts.setdefault(part if part in config else "", []).append(each)
    return {part: main_dtype(inside) for part, inside in parts.items()}


def main_dtype(outputs: Sequence[Output]) -> str:
    """The dtype of most bytes of floats."""
    nbytes: dict[str, int] = {}
    for each in outputs:
        if each.task.spec.is_float and not scaled.is_part(each.task):
            nbytes[each.task.spec.dtype] = (
                nbytes.get(each.task.spec.dtype, 0) + each.task.spec.nbytes
            )
    return max(nbytes, key=lambda dtype: nbytes[dtype]) if nbytes else "float32"


def accounts_of(plan: Plan, checkpoints: Iterable[Checkpoint]) -> Iterable[Account]:
    """What becomes of the tensors of every checkpoint."""
    loads = (task for task in plan.tasks if task.op is load)
    read = {_identity(part) for task in loads for part in task.numbers["entry"].parts}
    for checkpoint in checkpoints:
        left_out = [name for name, each in checkpoint.entries.items() if each.identity not in read]
        yield Account(checkpoint, len(checkpoint.entries) - len(left_out), tuple(left_out))


def _identity(entry: Any) -> str:
    """The identity of the whole of what is read."""
    identity: str = getattr(entry, "whole", "") or entry.identity
    return identity
