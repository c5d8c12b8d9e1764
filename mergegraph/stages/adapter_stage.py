"""One stage whose models are adapters, made into an adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mergegraph.adapters.changes import Changes, copies_in
from mergegraph.adapters.reading import Adapter
from mergegraph.adapters.writing import config_text
from mergegraph.errors import MergeGraphError, Problem, ProblemsError, told_of
from mergegraph.factors import Factors
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.findings import Findings
from mergegraph.methods import Method
from mergegraph.models.model import Model, SideFiles
from mergegraph.ops.lowrank import cut_to_rank, factors_of, spectrum
from mergegraph.recipe import Stage
from mergegraph.stages.inputs import WORK, Input
from mergegraph.stages.outline import Outline, OutlineReader
from mergegraph.stages.resolve import Resolver, draw_keys, unmatched_filters
from mergegraph.stages.stage import Built, Explained, build_stage
from mergegraph.tasks import Task

STEM = "adapter_model"
_ZEROS = "zeros"  # the base of changes, by this name in messages

Evaluate = Callable[[Sequence[Task]], Sequence[Any]]  # the values of small tasks, while planning


@dataclass
class _Merged:
    """What the changes of each module come to: factors, or a tensor that is yet to be factored."""

    factors: dict[str, Factors] = field(default_factory=dict)
    tensors: dict[str, Task] = field(default_factory=dict)
    explained: dict[str, Explained] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def build_adapter(
    stage: Stage,
    adapters: Mapping[str, tuple[Adapter, Checkpoint]],
    method: Method,
    seed: int,
    evaluate: Evaluate,
) -> Built:
    """Make the tasks of a merged adapter; raises ProblemsError with what is wrong."""
    try:
        _check(stage, method)
        changes = Changes({reference: each for reference, (each, _) in adapters.items()})
        of_factors = method.on_factors is not None and stage.base is None
        merge = _of_factors if of_factors else _of_tensors
        merged = merge(stage, changes, method, seed)
        ranks = _ranks(stage, changes, merged, evaluate)
    except ProblemsError:
        raise
    except MergeGraphError as error:
        raise ProblemsError([Problem(stage.place, str(error))]) from error
    tensors: dict[str, Task] = {}
    explained: dict[str, Explained] = {}
    for name, rank in ranks.items():
        own = dict(changes.laid_out(name, _of_rank(merged, name, rank)))
        tensors |= own
        explained |= dict.fromkeys(own, merged.explained[name])
    model = _model(stage, changes, tensors, ranks, [each for _, each in adapters.values()])
    notes = [
        *merged.notes,
        *_of_bases(stage, changes),
        *_of_copies(stage, changes),
        *_of_losses(stage, merged, ranks),
    ]
    return Built(model, explained, (), (), tuple(notes), ())


def _check(stage: Stage, method: Method) -> None:
    """Refuse what has no meaning for adapters."""
    if any(part.length for module in stage.modules for part in module.slices):
        raise MergeGraphError("adapters are merged whole, not by slices; list them under models")
    if stage.tokenizer is not None or stage.chat_template is not None:
        raise MergeGraphError("an adapter has no tokenizer; leave tokenizer and chat_template out")
    if method.on_factors is None and stage.adapter and stage.adapter.energy is not None:
        fact = f"energy tells the rank of {method.name} only once it is computed"
        raise ProblemsError([Problem(stage.adapter.place, f"{fact}; give a rank")])


def _of_factors(stage: Stage, changes: Changes, method: Method, seed: int) -> _Merged:
    """The factors that the method makes of factors."""
    findings = Findings()
    models = {reference: changes.model(reference) for reference in changes.adapters}
    reader = OutlineReader(stage, models)
    outlines = list(reader.outlines())
    findings.problems += [*reader.problems, *unmatched_filters(stage, method, outlines)]
    resolver = Resolver(stage, method, findings)
    merged = _Merged()
    for outline in outlines:
        inputs = [Input(each, each.model.tensors[each.name], WORK) for each in outline.parts]
        values = resolver.resolve(outline, inputs)
        if values is not None:
            merged.explained[outline.name] = Explained(outline.parts, None, values, method.name)
            merged.factors[outline.name] = _called(
                changes, method, outline, _drawn(stage, method, seed, outline, values)
            )
    if findings.problems:
        raise ProblemsError(findings.problems)
    merged.notes += findings.notes
    return merged


def _drawn(
    stage: Stage, method: Method, seed: int, outline: Outline, values: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of parameters, with numbers for draws where there are any."""
    drawn = draw_keys(stage, seed, outline, len(outline.parts)) if method.draws else {}
    return {**values, **drawn}


def _called(
    changes: Changes, method: Method, outline: Outline, values: Mapping[str, Any]
) -> Factors:
    """What the method makes of the factors of one module."""
    own = [changes.factors(each.source.model, each.name) for each in outline.parts]
    try:
        with told_of(f"method {method.name}"):
            found = method.of_factors(own, **values)
    except MergeGraphError as error:
        fact = f"{outline.name}: {error}"
        raise ProblemsError([Problem(outline.parts[0].source.place, fact)]) from error
    if found.shape != own[0].shape:
        raise MergeGraphError(f"{outline.name}: {method.name} gave factors of {found.shape}")
    return found


def _of_tensors(stage: Stage, changes: Changes, method: Method, seed: int) -> _Merged:
    """The tensors that the method makes of what the factors multiply out to."""
    models = {reference: changes.model(reference) for reference in changes.adapters}
    if stage.base is None and method.takes_base:
        stage = replace(stage, base=_ZEROS)
        models[_ZEROS] = changes.nothing(_ZEROS)
    built = build_stage(replace(stage, dtype=None, out_dtype=None), models, method, seed)
    if built.problems:
        raise ProblemsError(built.problems)
    return _Merged(
        tensors=dict(built.model.tensors),
        explained=dict(built.explained),
        notes=list(built.notes),
    )


def _ranks(stage: Stage, changes: Changes, merged: _Merged, evaluate: Evaluate) -> dict[str, int]:
    """The rank of each merged module."""
    most = {name: min(each.rank, *each.shape) for name, each in merged.factors.items()}
    most |= {name: changes.rank(name) for name in merged.tensors}
    asked = stage.adapter
    if asked is not None and asked.rank is not None:
        most = {
            name: min(asked.rank, *changes.shapes[name].shape)
            if name in merged.tensors
            else min(asked.rank, rank)
            for name, rank in most.items()
        }
    if asked is None or asked.energy is None or not merged.factors:
        return {name: max(1, rank) for name, rank in most.items()}
    names = list(merged.factors)
    found = evaluate([spectrum(each.left, each.right) for each in merged.factors.values()])
    needed = {
        name: _rank_of(values, asked.energy) for name, values in zip(names, found, strict=True)
    }
    return {name: max(1, min(rank, needed[name])) for name, rank in most.items()}


def _rank_of(values: Any, energy: float) -> int:
    """How many of the largest singular values hold a share of the sum of their squares."""
    squares = values.square().cumsum(0)
    return int((squares < energy * squares[-1]).sum()) + 1 if len(squares) else 1


def _of_rank(merged: _Merged, name: str, rank: int) -> Factors:
    """The factors of a merged module, of the rank that is chosen for it."""
    if name in merged.tensors:
        return factors_of(merged.tensors[name], rank)
    found = merged.factors[name]
    return found if found.rank == rank else cut_to_rank(found, rank)


def _model(
    stage: Stage,
    changes: Changes,
    tensors: Mapping[str, Task],
    ranks: Mapping[str, int],
    parents: Sequence[Checkpoint],
) -> Model:
    """The merged adapter, as a model whose tensors are factors."""
    modules = {name.removesuffix(".weight"): rank for name, rank in ranks.items()}
    text = config_text(list(changes.adapters.values()), modules)
    return Model(
        reference=stage.name or "result",
        tensors=tensors,
        stored=dict.fromkeys(tensors, stage.out_dtype or stage.dtype or changes.dtype),
        config={},
        sides=SideFiles(texts={"adapter_config.json": text}, stems={"": STEM}),
        parents=tuple(parents),
    )


# -- what is to be known ---------------------------------------------------------------------------


def _of_bases(stage: Stage, changes: Changes) -> list[str]:
    """A note where adapters were trained for models of different names."""
    bases = {each.config.base: ref for ref, each in changes.adapters.items()}
    if len(bases) <= 1:
        return []
    told = ", ".join(f"{ref}: {base or 'not said'}" for base, ref in bases.items())
    return [f"{stage.place}: the adapters name different models that they are for ({told})"]


def _of_copies(stage: Stage, changes: Changes) -> list[str]:
    """A note of weights of the base that are in the adapters, and not in the result."""
    copies = {name: ref for ref, each in changes.adapters.items() for name in copies_in(each)}
    told = "a copy of its base's weights, left out"
    return [f"{stage.place}: {ref}: {name} is {told}" for name, ref in copies.items()]


def _of_losses(stage: Stage, merged: _Merged, ranks: Mapping[str, int]) -> list[str]:
    """A note where the result is not exactly what the method makes of the adapters."""
    if merged.tensors:
        told = f"{stage.method} is done on what factors multiply out to"
        most = max(ranks.values())
        rest = "what further singular values hold is lost, and how much that is, nobody looks at"
        return [f"{stage.place}: {told}, and the result cut to rank {most}: not exact, {rest}"]
    lost = [
        name for name, each in merged.factors.items() if ranks[name] < min(each.rank, *each.shape)
    ]
    if not lost:
        return []
    cut = sorted({ranks[name] for name in lost})
    told = f"rank {cut[0]}" if len(cut) == 1 else f"ranks from {cut[0]} to {cut[-1]}"
    fact = f"{len(lost)} of {len(ranks)} modules are cut to {told}"
    return [f"{stage.place}: {fact}: their smallest singular values are lost"]
