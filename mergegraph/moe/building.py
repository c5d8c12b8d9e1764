"""The tensors of a mixture of experts, as tasks of those of dense models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from mergegraph.errors import Problem, ProblemsError
from mergegraph.findings import Findings
from mergegraph.models.model import Model
from mergegraph.moe.layouts import IGNORED, MLP, RESIDUAL, Layout
from mergegraph.moe.reading import Expert, Mixture
from mergegraph.names import LayerName, layer_of
from mergegraph.ops.arithmetic import cast, scale
from mergegraph.ops.noise import add_noise
from mergegraph.tasks import Task

WORK = "float32"
Gates = Mapping[int, tuple[Task, Task | None]]  # of each layer, and that of a shared expert


@dataclass(frozen=True)
class Dense:
    """The base and the models of a mixture, and how their layers are to be called."""

    mixture: Mixture
    layout: Layout
    models: Mapping[str, Model]
    stack: str

    @property
    def base(self) -> Model:
        """The model that all but the MLPs are taken from."""
        return self.models[self.mixture.base]

    @property
    def layers(self) -> int:
        """The number of layers."""
        return self.base.stacks[self.stack]

    def weight(self, model: Model, layer: int, word: str) -> Task:
        """A weight of the MLP of a layer."""
        return model.tensors[self.name(layer, f"mlp.{word}.weight")]

    def name(self, layer: int, rest: str) -> str:
        """The name of a layer's tensor."""
        return LayerName(self.stack, layer, rest).numbered(layer)

    def stored(self, name: str) -> str:
        """The dtype that is written for a tensor of the base."""
        return self.mixture.dtype or self.base.stored[name]


def check(dense: Dense) -> None:
    """Raise ProblemsError if the models do not fit together."""
    problems = [*_unplaced(dense)]
    for expert in (*dense.mixture.experts, *dense.mixture.shared):
        problems += _misfits(dense, expert)
    if problems:
        raise ProblemsError(problems)


def _unplaced(dense: Dense) -> Iterator[Problem]:
    """Tensors of the base that the layout has no place for, and those it lacks."""
    place = dense.mixture.places["base_model"]
    own = {f"mlp.{word}.weight" for word in MLP}
    for (stack, index), rests in dense.base.layers.items():
        if lost := own - {*rests}:
            name = LayerName(stack, index, min(lost)).numbered(index)
            yield Problem(place, f"{dense.mixture.base}: lacks {name}")
        for rest in rests:
            if rest not in own and not _is_kept(dense.layout, rest):
                fact = f"{dense.layout.name} has no place for {stack}.{index}.{rest} of the base"
                yield Problem(place, fact)
                return


def _is_kept(layout: Layout, rest: str) -> bool:
    return bool(layout.kept.fullmatch(rest) or IGNORED.fullmatch(rest))


def _misfits(dense: Dense, expert: Expert) -> Iterator[Problem]:
    """Weights of an expert that are missing, or of another shape than the base's."""
    model = dense.models[expert.model]
    more = model.stacks.get(dense.stack, 0)
    if more != dense.layers:
        fact = f"{expert.model} has {more} layers, the base has {dense.layers}"
        yield Problem(expert.place, f"{fact}; experts are made of models of one shape")
        return
    for layer in range(dense.layers):
        for word in MLP:
            name = dense.name(layer, f"mlp.{word}.weight")
            found = model.tensors.get(name)
            if found is None:
                yield Problem(expert.place, f"{expert.model}: lacks {name}")
                return
            wanted = dense.base.tensors[name].spec.shape
            if found.spec.shape != wanted:
                fact = f"{name}: {expert.model} has {found.spec.shape}, the base {wanted}"
                yield Problem(expert.place, f"{fact}; experts are made of models of one shape")
                return


@dataclass
class Built:
    """The tensors of a mixture by name, with the dtypes they are to be stored in."""

    tensors: dict[str, Task] = field(default_factory=dict)
    stored: dict[str, str] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)

    def add(self, name: str, task: Task, stored: str) -> None:
        """Note a tensor."""
        self.tensors[name] = task
        self.stored[name] = stored


def build(dense: Dense, gates: Gates, seed: int) -> Built:
    """Every tensor of the mixture, in the order of the base's."""
    made = Built()
    done: set[int] = set()
    for name, task in dense.base.tensors.items():
        layer = layer_of(name)
        if layer is None or layer.stack != dense.stack:
            made.add(name, task, dense.stored(name) if task.spec.is_float else task.spec.dtype)
        elif IGNORED.fullmatch(layer.rest):
            made.findings.note(f"{name}: left out, it is made anew by whoever loads the model")
        elif layer.rest.startswith("mlp."):
            if layer.index not in done:
                done.add(layer.index)
                _add_experts(made, dense, layer.index, gates[layer.index], seed)
        else:
            made.add(name, task, dense.stored(name))
    return made


def _add_experts(
    made: Built, dense: Dense, layer: int, gates: tuple[Task, Task | None], seed: int
) -> None:
    """The gate, the experts, and what is shared, of one layer."""
    layout = dense.layout
    gate, shared_gate = gates
    stored = dense.stored(dense.name(layer, "mlp.gate_proj.weight"))
    made.add(dense.name(layer, layout.gate), gate, stored)
    for number, expert in enumerate(dense.mixture.experts):
        for word, place in layout.expert.items():
            name = dense.name(layer, place.format(n=number))
            made.add(name, _weight(dense, expert, layer, word, f"{seed}\n{name}"), stored)
    for expert in dense.mixture.shared:
        for word, place in (layout.shared or {}).items():
            name = dense.name(layer, place)
            made.add(name, _weight(dense, expert, layer, word, f"{seed}\n{name}"), stored)
    if shared_gate is not None:
        made.add(dense.name(layer, layout.shared_gate), shared_gate, stored)


def _weight(dense: Dense, expert: Expert, layer: int, word: str, drawn: str) -> Task:
    """A weight of an expert: noise is added first, and what goes back is scaled."""
    task = dense.weight(dense.models[expert.model], layer, word)
    if expert.noise:
        key = int.from_bytes(blake2b(drawn.encode(), digest_size=16).digest(), "little")
        task = add_noise(cast(task, WORK), spread=expert.noise, seed=key)
    if word == RESIDUAL and expert.scale != 1:
        task = scale(cast(task, WORK), factor=expert.scale)
    return task


def coinciding(mixture: Mixture) -> Sequence[tuple[int, int]]:
    """Experts with the same prompts: their rows of a gate are equal."""
    experts = [(each.positive, each.negative) for each in mixture.experts]
    return [
        (i, k)
        for k in range(len(experts))
        for i in range(k)
        if experts[i] == experts[k] and experts.index(experts[k]) == i
    ]
