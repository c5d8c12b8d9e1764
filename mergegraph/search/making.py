"""Candidates made of recipes: many out of one reading of their models, in memory or in folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mergegraph.library import Library
from mergegraph.machine import no_collection
from mergegraph.pipeline import finish
from mergegraph.planning.planned import whole_plan
from mergegraph.plans import Output
from mergegraph.plugins import Plugins
from mergegraph.preparing import ready
from mergegraph.running.places import place_for
from mergegraph.running.reading import gather
from mergegraph.search.compiling import Compiled
from mergegraph.settings import Settings
from mergegraph.spec import Spec

_SHARE = 2 / 3  # of the memory budget, for tensors of candidates; the rest is for making them
Tensors = Mapping[str, Any]


class Maker:
    """Makes the tensors of candidates, and keeps those that the next ones may have as well.

    Its settings state the budget.
    """

    def __init__(self, library: Library, settings: Settings) -> None:
        self._library = library
        self._settings = settings
        self._kept: dict[str, Any] = {}
        self._spare: dict[Spec, list[Any]] = {}

    def fits(self, compiled: Compiled) -> bool:
        """Whether a candidate can be in memory."""
        return compiled.nbytes <= self._settings.budget * _SHARE

    def batches(self, candidates: Sequence[Compiled]) -> Iterator[Sequence[Compiled]]:
        """Candidates in order, as many at once as there is room for; those made before stay.

        What two of them share is there once.
        """
        batch: list[Compiled] = []
        keys: dict[str, int] = {}
        for each in candidates:
            new = {o.task.key: o.task.spec.nbytes for o in each.plan.outputs}
            if batch and sum((keys | new).values()) > self._settings.budget * _SHARE / 2:
                yield batch
                batch, keys = [], {}
            batch.append(each)
            keys |= new
        if batch:
            yield batch

    def make(self, batch: Sequence[Compiled]) -> list[Tensors]:
        """The tensors of each candidate of a batch; raises MergeGraphError if one will not do."""
        wanted = {o.task.key: o for each in batch for o in each.plan.outputs}
        self._let_go(wanted)
        self._compute(batch, [o for key, o in wanted.items() if key not in self._kept])
        return [_assembled(each.plan.outputs, self._kept) for each in batch]

    def _let_go(self, wanted: Mapping[str, Output]) -> None:
        """Drop tensors of earlier candidates, the oldest first, until there is room.

        Their memory is used again: to have it anew from the system takes as long as the arithmetic.
        """
        nbytes = {key: each.nbytes for key, each in self._kept.items()}
        nbytes |= {key: each.task.spec.nbytes for key, each in wanted.items()}
        total = sum(nbytes.values())
        for key in [each for each in self._kept if each not in wanted]:
            if total <= self._settings.budget * _SHARE:
                return
            total -= nbytes[key]
            tensor = self._kept.pop(key)
            self._spare.setdefault(Spec.of(tensor), []).append(tensor)

    @no_collection()
    def _compute(self, batch: Sequence[Compiled], outputs: Sequence[Output]) -> None:
        """Compute outputs that are not there yet, all in one schedule."""
        if not outputs:
            return
        checks = dict.fromkeys(check for each in batch for check in each.plan.checks)
        directories = [each.directory for each in batch]
        plan = whole_plan(outputs, [*checks], directories, self._library)
        whole = self._settings.budget
        budget = max(int(whole * (1 - _SHARE)), whole - self._held(outputs))
        reading = self._settings.reading(plan, budget=budget, unfinished=directories)
        place, into = place_for(self._settings.device), self._spares(outputs)
        found = gather(reading, place=place, into=into)
        self._kept |= {o.task.key: each for o, each in zip(outputs, found, strict=True)}

    def _spares(self, outputs: Sequence[Output]) -> list[Any]:
        """Tensors that outputs may be put into, as far as there are any; the others are let go."""
        found = [self._spare.get(each.task.spec) for each in outputs]
        spares = [each.pop() if each else None for each in found]
        self._spare.clear()
        return spares

    def _held(self, outputs: Sequence[Output]) -> int:
        kept = sum(each.nbytes for each in self._kept.values())
        return int(kept + sum(each.task.spec.nbytes for each in outputs))


def write(
    batch: Sequence[Compiled], library: Library, plugins: Plugins, settings: Settings
) -> None:
    """Make candidates in the folders they were compiled for, with one reading of their models.

    Raises MergeGraphError if one will not do.
    """
    outputs = [output for each in batch for output in each.plan.outputs]
    checks = dict.fromkeys(check for each in batch for check in each.plan.checks)
    plan = whole_plan(outputs, [*checks], [each.directory for each in batch], library)
    finish(ready(plan, plugins, settings, restart=True))


def _assembled(outputs: Sequence[Output], kept: Tensors) -> Tensors:
    """The tensors of a model by name, those of parts put together."""
    import torch

    found: dict[str, Any] = {}
    parts: dict[str, list[Any]] = {}
    shapes = {}
    for each in outputs:
        if each.part is None:
            found[each.name] = kept[each.task.key]
        else:
            whole = each.part.whole
            shapes[whole.name] = whole.task.spec.shape
            parts.setdefault(whole.name, []).append(kept[each.task.key])
    for name, those in parts.items():
        found[name] = torch.cat([part.flatten() for part in those]).view(shapes[name])
    return found
