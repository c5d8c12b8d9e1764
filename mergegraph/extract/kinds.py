"""What can become of each tensor in an adapter: told by its name, its shape and the config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mergegraph.config import Config, ties_head
from mergegraph.models.model import Model
from mergegraph.models.tying import tied_head
from mergegraph.names import holds_rows_of_words, is_embedding
from mergegraph.ops.arithmetic import cast, crop, delta, extend
from mergegraph.ops.sketch import can_sketch
from mergegraph.spec import Spec
from mergegraph.tasks import Task

Kind = Literal[
    "matrix", "turned", "conv", "embedding", "head", "vector", "router", "expert", "bias", "other"
]
FACTORED: tuple[Kind, ...] = ("matrix", "turned", "conv", "expert")

_CONV1D = re.compile(
    r"(?:^|\.)(?:c_attn|c_proj|c_fc|q_attn)$"
)  # of transformers, stored as [in, out]
_CONV1D_TYPES = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer", "gpt-sw3"}
_TABLE = re.compile(r"(?:^|\.)(?:wte|wpe|\w*embed\w*)$")
_ROUTER = re.compile(r"(?:^|\.)(?:gate|router|shared_expert_gate)$")
_EXPERT = re.compile(r"\.experts\.\d+\.\w+$")
_FUSED = re.compile(r"(?:^|\.)(?:experts?|input_linear|output_linear)(?:\.|$)")
_MAMBA_TYPES = {
    "mamba",
    "mamba2",
    "falcon_mamba",
    "falcon_h1",
    "nemotron_h",
}  # in which PEFT factors no out_proj
_IMAGE = 4  # axes of a convolution over images


@dataclass(frozen=True)
class Pair:
    """A tensor of the model beside that of its base, in the base's shape."""

    name: str
    kind: Kind
    own: Task
    base: Task
    stored: str

    @property
    def module(self) -> str:
        """The module that the tensor belongs to."""
        return self.name.rpartition(".")[0]

    @property
    def delta(self) -> Task:
        """What the model has added to the base."""
        return delta(cast(self.own, "float32"), cast(self.base, "float32"))

    @property
    def can_be_factored(self) -> bool:
        """Whether it has directions."""
        return can_sketch(self.base.spec)


@dataclass(frozen=True)
class Paired:
    """The tensors that both models have, what is not among them, and what is to be known of it.

    `tied` has the head that an embedding is in both, by the name of the embedding's tensor. A head
    that only the model has of its own is a pair of kind "head", its base is the embedding.
    """

    pairs: tuple[Pair, ...]
    only_model: tuple[str, ...]
    only_base: tuple[str, ...]
    numbers: tuple[str, ...]
    tied: Mapping[str, str]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def pair(model: Model, base: Model) -> Paired:
    """Put the tensors of two models side by side; vocabularies are brought to the base's size."""
    pairs, notes, problems = [], [], []
    numbers = []
    tied, heads = tied_head(base), _own_heads(model, base)
    besides = {*tied.values(), *heads}
    shared = [each for each in base.tensors if each in model.tensors and each not in besides]
    for name in (*shared, *heads):
        own, other = model.tensors[name], base.tensors[heads.get(name, name)]
        if not own.spec.is_float or not other.spec.is_float:
            numbers.append(name)
            continue
        if own.spec.shape != other.spec.shape:
            if not holds_rows_of_words(name, own.spec.shape, other.spec.shape):
                told = f"{model.reference} {own.spec.shape}, {base.reference} {other.spec.shape}"
                problems.append(
                    f"{name}: shapes differ: {told}; an adapter keeps its base's shapes"
                )
                continue
            notes.append(_told_of_rows(name, own.spec, other.spec))
            own = _fitted(own, other)
        kind: Kind = "head" if name in heads else kind_of(name, other.spec, base.config)
        pairs.append(Pair(name, kind, own, other, base.stored[heads.get(name, name)]))
    return Paired(
        tuple(pairs),
        tuple(name for name in model.tensors if name not in base.tensors and name not in besides),
        tuple(name for name in base.tensors if name not in model.tensors and name not in besides),
        tuple(numbers),
        {} if heads else tied,
        tuple(notes),
        tuple(problems),
    )


def kind_of(name: str, spec: Spec, config: Config) -> Kind:  # noqa: PLR0911 - a table of rules
    """What a tensor is, as far as names and shapes tell."""
    module, _, word = name.rpartition(".")
    if word == "bias":
        return "bias"
    axes = len(spec.shape)
    if word != "weight" or not module or (axes > 2 and _FUSED.search(module)):  # noqa: PLR2004
        return "other"
    if _ROUTER.search(module):
        return "router"
    if is_embedding(name) or (axes == 2 and _TABLE.search(module)):  # noqa: PLR2004
        return "embedding"
    if axes == _IMAGE and spec.shape[1] > 1:
        return "conv"
    is_refused = config.get("model_type") in _MAMBA_TYPES and module.endswith("out_proj")
    if axes != 2 or is_refused:  # noqa: PLR2004 - what is no matrix
        return "vector"
    if _EXPERT.search(module):
        return "expert"
    turned = config.get("model_type") in _CONV1D_TYPES and _CONV1D.search(module)
    return "turned" if turned else "matrix"


def _own_heads(model: Model, base: Model) -> dict[str, str]:
    """A head that only the model has of its own, and the embedding that is the base's."""
    if ties_head(model.config):
        return {}
    return {head: embedding for embedding, head in tied_head(base).items() if head in model.tensors}


def _told_of_rows(name: str, own: Spec, base: Spec) -> str:
    more = own.shape[0] - base.shape[0]
    told = f"{name}: {own.shape[0]} rows, the base has {base.shape[0]}; "
    if more > 0:
        return told + f"the last {more} are left out: an adapter keeps its base's vocabulary"
    return told + f"the base's last {-more} stay as they are"


def _fitted(own: Task, base: Task) -> Task:
    rows = base.spec.shape[0]
    if own.spec.shape[0] > rows:
        return crop(own, rows=rows)
    return extend(cast(own, "float32"), cast(base, "float32"))
