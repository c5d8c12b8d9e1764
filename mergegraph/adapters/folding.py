"""Adapters folded into their models: the changed weights as tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations

from mergegraph.adapters.experts import Share, fused_shape, share_out, shares_of
from mergegraph.adapters.heads import joined, tied_to, with_head
from mergegraph.adapters.layouts import Layout, Pair, layouts_of
from mergegraph.adapters.naming import Names, Wanted
from mergegraph.adapters.parts import Factors
from mergegraph.adapters.reading import Adapter, read_adapter
from mergegraph.adapters.saved import replaced
from mergegraph.adapters.turning import is_turned
from mergegraph.errors import MergeGraphError
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.models.model import Model
from mergegraph.ops.arithmetic import average, cast
from mergegraph.ops.products import (
    add_product,
    column_squares,
    factor,
    put_rows,
    set_column_lengths,
    set_row_lengths,
)
from mergegraph.spec import Spec
from mergegraph.tasks import Task

WORK = "float32"  # the dtype of all arithmetic

_Change = Callable[[Task], Task]


def folded(model: Model, checkpoint: Checkpoint) -> Model:
    """The model with an adapter folded in; raises MergeGraphError if it is not made for it.

    Every tensor of the adapter is made use of. Changed tensors are float32, as after a stage; they
    keep the dtype that they are stored in.
    """
    adapter = read_adapter(checkpoint)
    start = replaced(with_head(model), adapter)
    tensors = dict(start.tensors)
    for name, change in _Changes(adapter, start).all():
        try:
            tensors[name] = change(cast(tensors[name], WORK))
        except MergeGraphError as error:
            raise MergeGraphError(f"{adapter.reference}: {name}: {error}") from error
    made = replace(
        start,
        reference=f"{model.reference}+{adapter.reference}",
        tensors=tensors,
        parents=(*model.parents, checkpoint),
    )
    return joined(model, made, is_tied=bool(adapter.config["ensure_weight_tying"]))


class _Changes:
    """Finds which tensors of a model an adapter changes, and how."""

    def __init__(self, adapter: Adapter, model: Model) -> None:
        self.adapter = adapter
        self.model = model
        self.config = model.config
        self.known = {name: task.spec for name, task in model.tensors.items()}
        self.names = Names(self.known)

    def all(self) -> Iterator[tuple[str, _Change]]:
        """Every change, and the tensor that it is of."""
        parameters = dict(self.parameters())
        shared = {
            factors: shares_of(name, self.names)
            for factors, name in parameters.items()
            if not self.names.candidates(self.wanted(factors, name))
        }
        rows = {f"{module}.weight": name for module, name in self.adapter.parts.tokens.items()}
        biases = {
            f"{factors.module}.bias": factors for factors in parameters if factors.bias is not None
        }
        wanted = [
            *(self.wanted(factors, name) for factors, name in parameters.items()
              if not shared.get(factors)),
            *(Wanted(name, lambda spec: len(spec.shape) == 2) for name in rows),  # noqa: PLR2004
            *(Wanted(name, lambda spec: len(spec.shape) == 1) for name in biases),
        ]  # fmt: skip
        found = self.names.find(wanted, self.adapter.reference)
        for factors, name in parameters.items():
            if shares := shared.get(factors):
                yield from self.shares(factors, name, shares)
            else:
                yield found[name], self.change(factors, name, found[name])
        for name, own in rows.items():
            change = self.rows(name, own)
            for each in (found[name], *tied_to(self.model, found[name])):
                yield each, change
        for name, factors in biases.items():
            yield found[name], self.bias(factors, parameters[factors])

    def parameters(self) -> Iterator[tuple[Factors, str]]:
        """For all factors the name of the tensor that they change."""
        wrapped: dict[str, list[Factors]] = {}
        for factors in self.adapter.parts.factors:
            wrapped.setdefault(factors.module, []).append(factors)
        for module, around in wrapped.items():
            names = self.adapter.parameters(around[0])
            if not names and len(around) == 1:
                yield around[0], f"{module}.weight"
            else:
                yield from self.assigned(module, around, names)

    def assigned(
        self, module: str, around: Sequence[Factors], names: Sequence[str]
    ) -> Iterator[tuple[Factors, str]]:
        """Which of several factors around a module is for which of its tensors, by their shapes."""
        fitting = [
            order
            for order in permutations(names, len(around))
            if all(map(self.fits, around, order))
        ]
        if len(fitting) != 1:
            named = ", ".join(names) or "target_parameters names none of them"
            fact = f"{module} has {len(around)} pairs of factors, and which are for what"
            raise MergeGraphError(
                f"{self.adapter.reference}: {fact} cannot be told by their shapes ({named})"
            )
        yield from zip(around, fitting[0], strict=True)

    def fits(self, factors: Factors, name: str) -> bool:
        """Whether a model has a tensor of that name which factors are of the shape for."""
        wanted = self.wanted(factors, name)
        if self.names.candidates(wanted):
            return True
        shares = shares_of(name, self.names)
        return bool(shares) and wanted.fits(Spec(fused_shape(shares, self.names), WORK))

    def wanted(self, factors: Factors, name: str) -> Wanted:
        """The tensor that factors change, by its name and by its shape."""
        return Wanted(name, lambda spec: bool(self.layouts(factors, spec)))

    def layouts(self, factors: Factors, spec: Spec) -> list[Layout]:
        """The ways in which factors may lie in a weight."""
        tensors = self.adapter.tensors
        found = layouts_of(spec, tensors[factors.first].spec, tensors[factors.second].spec)
        return [each for each in found if each.is_turned or not factors.is_embedding]

    def layout(self, factors: Factors, name: str) -> Layout:
        """The way in which factors lie in the weight of a model."""
        found = self.layouts(factors, self.known[name])
        if len(found) == 1:
            return found[0]
        usually = bool(self.adapter.config["fan_in_fan_out"])
        return found[is_turned(name, self.known, self.config, usually=usually)]

    def change(self, factors: Factors, parameter: str, name: str) -> _Change:
        """What factors do to a weight."""
        layout = self.layout(factors, name)
        pair = self.adapter.pair(factors, layout, parameter)
        if factors.magnitude is None:
            return _adding(pair)
        magnitude = self.adapter.tensors[factors.magnitude]
        lengths = factor(magnitude, shape=(magnitude.spec.numel,), order=(0,))
        return _lengthening(pair, lengths, is_turned=layout.is_turned)

    def shares(
        self, factors: Factors, parameter: str, shares: Sequence[Share]
    ) -> Iterator[tuple[str, _Change]]:
        """What factors for all experts do to the weights of each."""
        spec = Spec(fused_shape(shares, self.names), WORK)
        (layout, *_) = self.layouts(factors, spec)
        pair = self.adapter.pair(factors, layout, parameter)
        for share in shares:
            yield share.name, _adding(share_out(pair, share))

    def rows(self, name: str, own: str) -> _Change:
        """What trained tokens do to an embedding."""
        tokens = self.adapter.config.tokens
        named = [
            places
            for module, places in tokens.items()
            if not module or f".{name}".endswith(f".{module}.weight")
        ]
        if len(named) != 1:
            fact = f"trainable_token_indices does not tell which rows of {name} are in {own}"
            raise MergeGraphError(f"{self.adapter.reference}: {fact}")
        given = self.adapter.tensors[own]
        rows = factor(given, shape=given.spec.shape, order=tuple(range(len(given.spec.shape))))
        return lambda weight: put_rows(weight, rows, places=named[0])

    def bias(self, factors: Factors, parameter: str) -> _Change:
        """What the bias of a second factor does to that of the module."""
        own = cast(self.adapter.tensors[str(factors.bias)], WORK)
        scale = self.adapter.scale(factors, parameter)
        return lambda bias: average(bias, own, weights=(1.0, scale), normalize=False)


def _adding(pair: Pair) -> _Change:
    return lambda weight: add_product(weight, pair.left, pair.right, scale=pair.scale)


def _lengthening(pair: Pair, lengths: Task, *, is_turned: bool) -> _Change:
    """A change of directions, and of the lengths of rows or columns (DoRA)."""

    def change(weight: Task) -> Task:
        directed = _adding(pair)(weight)
        if not is_turned:
            return set_row_lengths(directed, lengths)
        squares = column_squares(directed, columns=weight.spec.shape[-1])
        return set_column_lengths(directed, lengths, squares)

    return change
