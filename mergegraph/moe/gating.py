"""Which gates the layers of a mixture have, by what its recipe asks for."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from mergegraph.errors import MergeGraphError, Problem, ProblemsError
from mergegraph.files.references import Reference
from mergegraph.files.trees import Tree
from mergegraph.moe.building import Dense, Gates, coinciding
from mergegraph.moe.gates import alike, drawn, embedded, given, read_tokenizer
from mergegraph.moe.hidden import hidden_gates
from mergegraph.moe.layouts import RESIDUAL
from mergegraph.moe.reading import BY_CHANCE, Expert
from mergegraph.names import is_embedding
from mergegraph.ops.arithmetic import cast
from mergegraph.tasks import Task

_TOKENIZER = "tokenizer.json"


def gates_of(dense: Dense, seed: int, notes: list[str]) -> Gates:
    """The gates of all layers; what is to be known of them goes to `notes`.

    Raises ProblemsError if they cannot be made.
    """
    mixture = dense.mixture
    if mixture.gate_mode in BY_CHANCE:
        return {layer: _drawn(dense, layer, seed) for layer in range(dense.layers)}
    for one, other in coinciding(mixture):
        told = f"experts {one} and {other} have the same prompts, and are chosen for the same"
        notes.append(f"{mixture.experts[other].place}: {told}")
    shared = mixture.shared if dense.layout.shared is not None else ()
    try:
        if mixture.gate_mode == "cheap_embed":
            return _embedded(dense, shared)
        return _hidden(dense, shared, notes)
    except ProblemsError:
        raise
    except MergeGraphError as error:
        raise ProblemsError([Problem(mixture.places["gate_mode"], str(error))]) from error


def _drawn(dense: Dense, layer: int, seed: int) -> tuple[Task, Task | None]:
    count, mode = len(dense.mixture.experts), dense.mixture.gate_mode
    width = dense.weight(dense.base, 0, RESIDUAL).spec.shape[0]
    name = dense.name(layer, dense.layout.gate)
    gate = drawn(mode, (count, width), seed=seed, name=name)
    if dense.layout.shared is None:
        return gate, None
    name = dense.name(layer, dense.layout.shared_gate)
    return gate, drawn(mode, (1, width), seed=seed, name=name)


def _embedded(dense: Dense, shared: Sequence[Expert]) -> Gates:
    name = next(filter(is_embedding, dense.base.tensors), None)
    if name is None:
        raise MergeGraphError(f"{dense.mixture.base}: holds no embedding to make gates of")
    tree = _tree(dense)
    tree.fetch([each for each in tree.names() if each == _TOKENIZER], lambda _nbytes: None)
    tokenizer = read_tokenizer(tree.root)
    embedding = cast(dense.base.tensors[name], "float32")
    gate = embedded(embedding, dense.mixture.experts, tokenizer)
    own = embedded(embedding, shared, tokenizer) if shared else None
    return dict.fromkeys(range(dense.layers), (gate, own))


def _hidden(dense: Dense, shared: Sequence[Expert], notes: list[str]) -> Gates:
    mixture = dense.mixture
    if Reference.parse(mixture.base).adapter is not None:
        fact = f"{mixture.base}: hidden states are those of a model without adapters"
        raise MergeGraphError(f"{fact}; fold it first, or use gate_mode cheap_embed")
    tree = _tree(dense)
    tree.fetch(tree.names(), lambda _nbytes: None)
    found = hidden_gates(tree.root, (*mixture.experts, *shared), mode=mixture.gate_mode)
    count = len(mixture.experts)
    for each, rows in zip((*mixture.experts, *shared), found.unbind(1), strict=True):
        if not rows.any(dim=1).all():
            told = "its positive and negative prompts cancel out in some layer, where its gate is 0"
            notes.append(f"{each.place}: {told}")
    close = {pair for layer in found for pair in alike(layer[:count].tolist())}
    for one, other in sorted(close - {*coinciding(mixture)}):
        told = f"the prompts of experts {one} and {other} hardly differ in some layer"
        notes.append(f"{mixture.experts[other].place}: {told}, where they are chosen for the same")
    return {layer: _cut(found[layer], count) for layer in range(dense.layers)}


def _cut(rows: Any, count: int) -> tuple[Task, Task | None]:
    """The gate of the experts, and that of what is shared."""
    parts = [part.float().contiguous() for part in rows.split([count, len(rows) - count])]
    tasks = [given(part, _identity(part)) for part in parts if len(part)]
    return tasks[0], tasks[1] if len(tasks) > 1 else None


def _tree(dense: Dense) -> Tree:
    """The files of the base."""
    tree = dense.base.sides.tree
    if tree is None:
        raise MergeGraphError(f"{dense.mixture.base}: has no files beside its weights")
    return tree


def _identity(tensor: Any) -> str:
    return f"gate:{tuple(tensor.shape)}:{sha256(tensor.numpy().tobytes()).hexdigest()}"
