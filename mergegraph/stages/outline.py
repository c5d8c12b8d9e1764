"""The outline of a stage: which tensors it gives, and from which input tensors each is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mergegraph.errors import Problem, nearest
from mergegraph.models.model import Model
from mergegraph.names import LayerName, layer_of, stands_before_layers, stands_under
from mergegraph.recipe import Module, Slice, Source, Stage


@dataclass(frozen=True, slots=True)
class Part:
    """One input of an output tensor: the tensor `name` of a source's model."""

    source: Source
    model: Model
    name: str


@dataclass(frozen=True, slots=True)
class Outline:
    """One output tensor of a stage; `t` is its place between first and last layer.

    `base` is the base model's part where there is a base. It is among `parts`, too, where the
    recipe lists it as a source. A copy is not merged: no module of the recipe speaks of it.
    """

    name: str
    t: float
    slice: Slice
    module: Module
    parts: tuple[Part, ...]
    base: Part | None
    is_copy: bool = False


_Covers = Callable[[str], bool]  # whether a module speaks of a tensor
_Named = Callable[[Source], str]  # the name of the tensor that a source gives


class OutlineReader:
    """Outlines one stage; problems gather in `problems`."""

    def __init__(self, stage: Stage, models: Mapping[str, Model]) -> None:
        self.stage = stage
        self.models = models
        self.problems: list[Problem] = []
        self.layers: dict[str, list[tuple[Model, int]]] = {}
        self.unlisted: dict[tuple[str, str], Source] = {}

    def outlines(self) -> Iterator[Outline]:
        """Every output tensor once, in the order of modules, slices and layers."""
        prefixes = [module.prefix for module in self.stage.modules if module.prefix is not None]
        for module in self.stage.modules:
            for other in prefixes:
                if module.prefix is not None and stands_under(module.prefix, other):
                    fact = (
                        f"module '{module.prefix}' is a part of module '{other}'; name one of them"
                    )
                    self.problems.append(Problem(module.place, fact))
            yield from self.module(module, prefixes)
        yield from self.uncovered(prefixes)

    def module(self, module: Module, prefixes: Sequence[str]) -> Iterator[Outline]:
        """The output tensors of one module."""

        def covers(name: str) -> bool:
            if module.prefix is not None:
                return stands_under(name, module.prefix)
            return not any(stands_under(name, prefix) for prefix in prefixes)

        if module.prefix is not None and not any(map(covers, self.donor.tensors)):
            known = {part for name in self.donor.tensors for part in _prefixes(name)}
            close = nearest(module.prefix, known, only_close=True)
            first = dict.fromkeys(name.partition(".")[0] for name in self.donor.tensors)
            hint = close or f"; modules are prefixes of names, which start with {', '.join(first)}"
            fact = f"no tensor's name starts with '{module.prefix}.'{hint}"
            self.problems.append(Problem(module.place, fact))
        elif module.slices[0].length is None:
            yield from self.whole(module, module.slices[0], covers)
        else:
            yield from self.stacked(module, covers)

    @property
    def donor(self) -> Model:
        """The model whose order of tensors, config and side files the result follows."""
        return self.models[self.stage.donor]

    def base_of(self, part: Slice) -> Model | None:
        """The base of a slice."""
        reference = part.base or self.stage.base
        return None if reference is None else self.models[reference]

    def whole(self, module: Module, part: Slice, covers: _Covers) -> Iterator[Outline]:
        """Whole models: tensors of one name belong together."""
        sources = [(source, self.models[source.model]) for source in part.sources]
        base = self.base_of(part)
        involved = [model for _, model in sources] + ([base] if base else [])
        counts = _most_layers(involved)
        for name in filter(covers, _union([self.donor, *involved])):
            layer = layer_of(name)
            yield Outline(
                name=name,
                t=position(layer.index, counts[layer.stack]) if layer else 0.0,
                slice=part,
                module=module,
                parts=tuple(Part(source, model, name) for source, model in sources),
                base=self.base_part(part, base, sources, _always(name)),
            )

    def stacked(self, module: Module, covers: _Covers) -> Iterator[Outline]:
        """Layer ranges: layers one after another, what stands outside from first and last slice."""
        stacks = {
            source.model: self.models[source.model].main_stack(module.prefix)
            for part in module.slices
            for source in part.sources
        }
        if not self.ranges_fit(module, stacks):
            return
        first, last = module.slices[0], module.slices[-1]
        yield from self.outside(module, first, stacks, covers, before=True)
        number = 0
        for part in module.slices:
            for offset in range(part.length or 0):
                yield from self.layer(module, part, stacks, offset, number)
                number += 1
        yield from self.outside(module, last, stacks, covers, before=False)

    def ranges_fit(self, module: Module, stacks: Mapping[str, str | None]) -> bool:
        """Whether the models have the layers that are asked for; reports those that have not."""
        before = len(self.problems)
        for part in module.slices:
            for source in part.sources:
                model, stack = self.models[source.model], stacks[source.model]
                if stack is None:
                    below = model.stacks_below(module.prefix)
                    found = ", ".join(f"{name} ({model.stacks[name]})" for name in below)
                    fact = (
                        f"which layers of {source.model} are meant is not clear ({found or 'none'})"
                    )
                    self.problems.append(Problem(source.place, f"{fact}; name them under modules"))
                elif source.layers and source.layers[1] > model.stacks[stack]:
                    fact = (
                        f"{source.model} has {model.stacks[stack]} layers, not {source.layers[1]}"
                    )
                    self.problems.append(Problem(source.place, fact))
        if len(set(stacks.values())) > 1 and len(self.problems) == before:
            names = ", ".join(sorted(map(str, stacks.values())))
            self.problems.append(
                Problem(module.place, f"the layers go by different names: {names}")
            )
        return len(self.problems) == before

    def layer(
        self,
        module: Module,
        part: Slice,
        stacks: Mapping[str, str | None],
        offset: int,
        number: int,
    ) -> Iterator[Outline]:
        """The tensors of one output layer."""
        at = {id(source): (source.layers or (0, 0))[0] + offset for source in part.sources}
        sources = [(source, self.models[source.model]) for source in part.sources]
        base = self.base_of(part)
        stack = stacks[part.sources[0].model] or ""
        source, model = sources[0]
        self.layers.setdefault(stack, []).append((model, at[id(source)]))
        first = dict.fromkeys(at, 0)
        shared = _joined(model.of_first.get(stack, ()) for _, model in sources)
        found = [model.layers.get((stack, at[id(source)]), ()) for source, model in sources]
        for rest in {**(shared if number == 0 else {}), **_joined(found)}:
            if rest in shared and number:
                continue
            name, own = LayerName(stack, 0, rest), first if rest in shared else at
            yield Outline(
                name=name.numbered(number),
                t=position(offset, part.length or 1),
                slice=part,
                module=module,
                parts=tuple(
                    Part(source, model, name.numbered(own[id(source)])) for source, model in sources
                ),
                base=self.base_part(part, base, sources, _renumbered(name, own)),
            )

    def outside(
        self,
        module: Module,
        part: Slice,
        stacks: Mapping[str, str | None],
        covers: _Covers,
        *,
        before: bool,
    ) -> Iterator[Outline]:
        """The tensors outside the stack, on the side of the first or of the last slice."""
        sources = [(source, self.models[source.model]) for source in part.sources]
        stack = stacks[part.sources[0].model]
        base = self.base_of(part)
        for name in _union([model for _, model in sources]):
            layer = layer_of(name)
            inside = layer is not None and layer.stack == stack
            if (
                covers(name)
                and not inside
                and (layer is not None or stands_before_layers(name)) == before
            ):
                yield Outline(
                    name=name,
                    t=0.0,
                    slice=part,
                    module=module,
                    parts=tuple(Part(source, model, name) for source, model in sources),
                    base=self.base_part(part, base, sources, _always(name)),
                )

    def base_part(
        self,
        part: Slice,
        base: Model | None,
        sources: Sequence[tuple[Source, Model]],
        named: _Named,
    ) -> Part | None:
        """The base's tensor, in the layer of its own source, or else of the first source."""
        if base is None:
            return None
        listed = [source for source, model in sources if model is base]
        alone = Source(base.reference, None, {}, part.place)
        source = (
            listed[0] if listed else self.unlisted.setdefault((alone.model, alone.place), alone)
        )
        return Part(source, base, named(listed[0] if listed else sources[0][0]))

    def uncovered(self, prefixes: Sequence[str]) -> Iterator[Outline]:
        """Tensors of the donor that no module speaks of: kept as they are."""
        if len(prefixes) < len(self.stage.modules):
            return
        module = self.stage.modules[0]
        source = Source(self.stage.donor, None, {}, self.stage.place)
        part = Slice((source,), None, {}, self.stage.place)
        for name in self.donor.tensors:
            if not any(stands_under(name, prefix) for prefix in prefixes):
                kept = Part(source, self.donor, name)
                yield Outline(name, 0.0, part, module, (kept,), None, is_copy=True)


def _always(name: str) -> _Named:
    return lambda _source: name


def _renumbered(name: LayerName, layers: Mapping[int, int]) -> _Named:
    return lambda source: name.numbered(layers[id(source)])


def position(index: int, count: int) -> float:
    """0 in the first of `count` layers, 1 in the last, and 1 where there is but one."""
    return min(1.0, index / (count - 1)) if count > 1 else 1.0


def _most_layers(models: Iterable[Model]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for model in models:
        for stack, count in model.stacks.items():
            counts[stack] = max(count, counts.get(stack, 0))
    return counts


def _union(models: Iterable[Model]) -> dict[str, None]:
    """The names of all tensors, in the order of the first model that has them."""
    return dict.fromkeys(name for model in models for name in model.tensors)


def _joined(rests: Iterable[Iterable[str]]) -> dict[str, None]:
    """Names of several layers, each once, in order."""
    return dict.fromkeys(rest for each in rests for rest in each)


def _prefixes(name: str) -> Iterator[str]:
    ends = [i for i, letter in enumerate(name) if letter in "./"]
    return (name[:end] for end in ends[:3])
