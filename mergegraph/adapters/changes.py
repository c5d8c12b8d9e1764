"""What several adapters change, module by module, as factors and as tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from mergegraph.adapters.layouts import Layout
from mergegraph.adapters.parts import Factors as Named
from mergegraph.adapters.reading import Adapter
from mergegraph.adapters.writing import tensors_of
from mergegraph.errors import MergeGraphError
from mergegraph.factors import Factors
from mergegraph.files.reading import MemoryEntry
from mergegraph.models.model import Model, SideFiles
from mergegraph.ops.arithmetic import load, scale
from mergegraph.ops.products import add_product, factor, part
from mergegraph.spec import Spec
from mergegraph.tasks import Task

WORK = "float32"  # the dtype of all arithmetic
_BY_FOLDING = "fold each into its model, as model+adapter, and merge the models"


class Changes:
    """The changes that adapters make to the modules of one model: to `module.weight`, by PEFT.

    Where an adapter has nothing for a module, its change is zero.
    """

    def __init__(self, adapters: Mapping[str, Adapter]) -> None:
        for each in adapters.values():
            _check(each)
        self.adapters = adapters
        self._named = {
            reference: {f"{named.module}.weight": named for named in each.parts.factors}
            for reference, each in adapters.items()
        }

    @cached_property
    def shapes(self) -> Mapping[str, Spec]:
        """The matrix that each change is; raises MergeGraphError if adapters disagree."""
        found: dict[str, Spec] = {}
        for reference, named in self._named.items():
            for name, each in named.items():
                spec = self._spec(reference, each)
                if found.setdefault(name, spec) != spec:
                    told = f"{spec.shape} in {reference}, {found[name].shape} in others"
                    raise MergeGraphError(f"{name}: shapes differ: {told}")
        return found

    @cached_property
    def dtype(self) -> str:
        """The dtype that all factors are stored in, or one that holds them."""
        dtypes = {
            each.tensors[name].spec.dtype
            for each in self.adapters.values()
            for named in each.parts.factors
            for name in named.names
        }
        return dtypes.pop() if len(dtypes) == 1 else WORK

    def rank(self, name: str) -> int:
        """The rank of the factors of all adapters side by side, as far as it makes a difference."""
        ranks = (
            self.adapters[reference].config.rank(named[name].module)
            for reference, named in self._named.items()
            if name in named
        )
        return min(sum(ranks), *self.shapes[name].shape)

    def factors(self, reference: str, name: str) -> Factors:
        """An adapter's change of a module, its scale with the left factor."""
        named = self._named[reference].get(name)
        if named is None:
            return _without_rank(next(self._present(name)))
        return _factors(self.adapters[reference], named)

    def model(self, reference: str) -> Model:
        """An adapter's changes as a model: each the product of its factors."""
        tensors = {}
        for name, spec in self.shapes.items():
            named = self._named[reference].get(name)
            tensors[name] = _zeros(spec)
            if named is not None:
                pair = self.adapters[reference].pair(named, Layout(), name)
                tensors[name] = add_product(_zeros(spec), pair.left, pair.right, scale=pair.scale)
        return _model(reference, tensors)

    def nothing(self, reference: str) -> Model:
        """A model of zeros: the base of changes."""
        return _model(reference, {name: _zeros(spec) for name, spec in self.shapes.items()})

    def laid_out(self, name: str, factors: Factors) -> Iterator[tuple[str, Task]]:
        """The tensors of merged factors, laid out as in the adapters."""
        reference = next(ref for ref, named in self._named.items() if name in named)
        named, tensors = self._named[reference][name], self.adapters[reference].tensors
        first, second = tensors[named.first].spec, tensors[named.second].spec
        yield from tensors_of(named.module, factors, first, second, is_embedding=named.is_embedding)

    def _present(self, name: str) -> Iterator[Factors]:
        for reference, named in self._named.items():
            if name in named:
                yield _factors(self.adapters[reference], named[name])

    def _spec(self, reference: str, named: Named) -> Spec:
        adapter = self.adapters[reference]
        first, second = adapter.tensors[named.first].spec, adapter.tensors[named.second].spec
        rank = adapter.config.rank(named.module)
        if first.shape[:1] != (rank,) or second.numel != second.shape[0] * rank:
            shapes = f"{first.shape} and {second.shape}"
            fact = f"factors of shapes {shapes} have not the rank {rank}"
            raise MergeGraphError(f"{adapter.reference}: {named.module}: {fact}")
        return Spec((second.shape[0], first.row), WORK)


def _factors(adapter: Adapter, named: Named) -> Factors:
    first, second = adapter.tensors[named.first], adapter.tensors[named.second]
    rank = adapter.config.rank(named.module)
    left = factor(second, shape=(second.spec.shape[0], rank), order=(0, 1))
    right = factor(first, shape=(rank, first.spec.row), order=(0, 1))
    return Factors(scale(left, factor=adapter.config.scale(named.module)), right)


def _without_rank(like: Factors) -> Factors:
    """Factors whose product is zero: there are none."""
    left = part(like.left, axis=1, first=0, count=0)
    return Factors(left, part(like.right, axis=0, first=0, count=0))


def _zeros(spec: Spec) -> Task:
    """Zeros that take no room."""
    import torch

    tensor = torch.zeros(()).expand(spec.shape)
    return load(entry=MemoryEntry(tensor, spec, f"zeros:{spec}"))


def _model(reference: str, tensors: Mapping[str, Task]) -> Model:
    stored = dict.fromkeys(tensors, WORK)
    return Model(reference, tensors, stored, config={}, sides=SideFiles(), parents=())


def copies_in(adapter: Adapter) -> list[str]:
    """The weights that an adapter holds only because it changes them: the base's, untrained."""
    changed = {f"{each.module}.weight" for each in adapter.parts.factors}
    return [name for name in adapter.parts.replaced if name in changed]


def _check(adapter: Adapter) -> None:
    """Refuse adapters whose changes are more than products of factors."""
    parts = adapter.parts
    replaced = [name for name in parts.replaced if name not in copies_in(adapter)]
    others: Sequence[tuple[str, object]] = (
        ("DoRA's magnitudes", [each for each in parts.factors if each.magnitude]),
        ("biases", [each for each in parts.factors if each.bias]),
        ("rows of trained tokens", parts.tokens),
        (f"tensors trained whole, such as {next(iter(replaced), '')}", replaced),
        ("factors for experts in one tensor", adapter.config["target_parameters"]),
    )
    for what, found in others:
        if found:
            fact = f"has {what}, which do not add up like products of factors"
            raise MergeGraphError(f"{adapter.reference}: {fact}; {_BY_FOLDING}")
    if not parts.factors:
        raise MergeGraphError(f"{adapter.reference}: has no factors")
