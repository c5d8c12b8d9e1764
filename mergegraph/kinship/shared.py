"""What a base and models have in common: tensors side by side, and what is left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mergegraph.errors import MergeGraphError, Problem, ProblemsError
from mergegraph.kinship.members import Members
from mergegraph.models.model import Model
from mergegraph.models.tying import tied_head
from mergegraph.names import holds_rows_of_words
from mergegraph.ops.arithmetic import crop
from mergegraph.stages.prefixes import correspondence
from mergegraph.tasks import Task

_NAMED = 5  # tensors that a note names


@dataclass(frozen=True)
class Shared:
    """A tensor of the base and of every model, in one shape; the base's comes first."""

    name: str
    tasks: tuple[Task, ...]


@dataclass
class _Found:
    shared: list[Shared] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def shared_of(members: Members) -> tuple[tuple[Shared, ...], tuple[str, ...]]:
    """The tensors that all have, and notes on those that not all have.

    Raises MergeGraphError if they do not belong together.
    """
    found = _Found()
    models = [_renamed(each, members.base, found) for each in members.models]
    tied = {head: embedding for embedding, head in tied_head(members.base).items()}
    own = _own_heads(tied, models)
    found.notes += _told_of_heads(tied, own, (members.base, *models))
    for name in (*(each for each in members.base.tensors if each not in tied), *own):
        if all(name in each.tensors for each in models):
            base = members.base.tensors[own.get(name, name)]
            _add(name, [base, *(each.tensors[name] for each in models)], members, found)
    if found.problems:
        raise ProblemsError(found.problems)
    if not found.shared:
        names = ", ".join(each.reference for each in members.models)
        raise MergeGraphError(f"{members.base.reference} and {names}: have no tensors in common")
    found.notes += _left_out([members.base, *models], tied)
    if found.numbers:
        found.notes.append(f"left out, whole numbers: {_told(found.numbers)}")
    return tuple(found.shared), tuple(found.notes)


def _renamed(model: Model, base: Model, found: _Found) -> Model:
    """A model under the base's names, where they differ by what stands before them."""
    names = correspondence(model, base)
    if not names:
        return model
    one = min(names)
    told = f"{len(names)} tensors of {model.reference} are named otherwise than in"
    found.notes.append(f"{told} {base.reference}, and taken for those: {one} for {names[one]}")
    return model.with_names(names)


def _own_heads(tied: Mapping[str, str], models: Sequence[Model]) -> dict[str, str]:
    """Heads that every model has of its own where the base's is its embedding, with that."""
    return {
        head: embedding
        for head, embedding in tied.items()
        if all(head in each.tensors and not tied_head(each) for each in models)
    }


def _told_of_heads(
    tied: Mapping[str, str], own: Mapping[str, str], models: Sequence[Model]
) -> Iterator[str]:
    """What becomes of heads that are the embedding in the base, where they are stored."""
    for head in tied:
        if any(head in each.tensors for each in models):
            how = "compared with that" if head in own else "counted once"
            yield f"{head}: is the embedding in the base, and {how}"


def _add(name: str, tasks: Sequence[Task], members: Members, found: _Found) -> None:
    """Put a tensor of all side by side, or say why it cannot be."""
    if not all(each.spec.is_float for each in tasks):
        found.numbers.append(name)
        return
    specs = [each.spec for each in tasks]
    shapes = {each.shape for each in specs}
    if len(shapes) > 1:
        who = [members.base.reference, *(each.reference for each in members.models)]
        told = ", ".join(f"{n} {each.shape}" for n, each in zip(who, specs, strict=True))
        if not holds_rows_of_words(name, *shapes):
            found.problems.append(Problem("", f"{name}: shapes differ: {told}"))
            return
        rows = min(each.shape[0] for each in specs)
        found.notes.append(f"{name}: the first {rows} rows are compared, which all have: {told}")
        tasks = [each if each.spec.shape[0] == rows else crop(each, rows=rows) for each in tasks]
    found.shared.append(Shared(name, tuple(tasks)))


def _left_out(models: Sequence[Model], heads: Collection[str]) -> Iterator[str]:
    """What not all have, told by who lacks it."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for name in dict.fromkeys(name for each in models for name in each.tensors):
        without = tuple(each.reference for each in models if name not in each.tensors)
        if without and name not in heads:
            lacking.setdefault(without, []).append(name)
    for who, names in lacking.items():
        verb = "has" if len(who) == 1 else "have"
        yield f"left out, {' and '.join(who)} {verb} no such tensor: {_told(names)}"


def _told(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
