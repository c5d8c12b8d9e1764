"""Tensors that an adapter has whole: modules trained whole, biases, longer embeddings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from mergegraph import config as configs
from mergegraph.adapters.heads import embedding_of
from mergegraph.adapters.naming import Names, Wanted
from mergegraph.adapters.reading import Adapter
from mergegraph.errors import MergeGraphError
from mergegraph.models.model import Model
from mergegraph.names import is_embedding, is_head
from mergegraph.spec import Spec
from mergegraph.tasks import Task


def replaced(model: Model, adapter: Adapter) -> Model:
    """The model with the tensors that an adapter has whole in the place of its own."""
    whole = _wanted(model, adapter)
    if not whole:
        return model
    known = {name: task.spec for name, task in model.tensors.items()}
    new = [name for name in whole if _is_new(name, known, adapter)]
    wanted = [
        Wanted(name, _fitting(name, adapter.tensors[own].spec))
        for name, own in whole.items()
        if name not in new
    ]
    found = {**Names(known).find(wanted, adapter.reference), **{name: name for name in new}}
    tensors, stored = dict(model.tensors), dict(model.stored)
    for name, own in whole.items():
        task = adapter.tensors[own]
        tensors[found[name]] = task
        stored.setdefault(found[name], task.spec.dtype)
    for name in _following(model, adapter, tensors, set(found.values())):
        del tensors[name], stored[name]
    made = replace(model, tensors=tensors, stored=stored)
    return replace(made, config=_resized(model, made, adapter))


def _wanted(model: Model, adapter: Adapter) -> dict[str, str]:
    """The tensors to be replaced; not a head that was saved only because it is the embedding."""
    whole = dict(adapter.parts.replaced)
    if not configs.ties_head(model.config) or not any(map(is_embedding, whole)):
        return whole
    changed = {f"{factors.module}.weight" for factors in adapter.parts.factors}
    trained = [
        name
        for name in whole
        if name in changed or adapter.config.saves(name.removesuffix(".weight"))
    ]
    return {name: own for name, own in whole.items() if not is_head(name) or name in trained}


def _following(
    model: Model, adapter: Adapter, tensors: Mapping[str, Task], changed: Collection[str]
) -> list[str]:
    """Heads that were the embedding and stay it: saved with it, or of no use at its new length."""
    name = embedding_of(model)
    if name is None or name not in changed:
        return []
    is_longer = tensors[name].spec.shape != model.tensors[name].spec.shape
    is_saved = any(map(is_head, adapter.parts.replaced))
    tied = [n for n in model.tensors if is_head(n) and model.tensors[n] == model.tensors[name]]
    return [each for each in tied if each not in changed and (is_longer or is_saved)]


def _is_new(name: str, known: Mapping[str, Spec], adapter: Adapter) -> bool:
    """Whether a module was trained whole that the model has not, as heads of classifiers are."""
    module, _, leaf = name.rpartition(".")
    ends = (f".{name}", name)
    is_known = any(each.endswith(ends[0]) or each == ends[1] for each in known)
    saved = adapter.config["modules_to_save"] or ()
    return not is_known and bool(leaf) and any(each in module.split(".") for each in saved)


def _fitting(name: str, spec: Spec) -> Callable[[Spec], bool]:
    """What tensors may be replaced by one of that spec: of vocabularies also longer or shorter."""
    if is_embedding(name) or is_head(name):
        return lambda other: other.shape[1:] == spec.shape[1:]
    return lambda other: other.shape == spec.shape


def _resized(before: Model, after: Model, adapter: Adapter) -> configs.Config:
    """The config with the vocabulary that the model has now."""
    names = [name for name in after.tensors if is_embedding(name) or is_head(name)]
    was = {before.tensors[name].spec.shape[0] for name in names if name in before.tensors}
    now = {after.tensors[name].spec.shape[0] for name in names}
    if was == now or len(was) != 1:
        return before.config
    if len(now) > 1:
        told = ", ".join(f"{name} {after.tensors[name].spec.shape}" for name in names)
        fact = f"only some of the tensors of the vocabulary have another length: {told}"
        raise MergeGraphError(f"{adapter.reference}: {fact}")
    return configs.with_vocabulary(before.config, was.pop(), now.pop())
