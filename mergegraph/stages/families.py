"""Which tensors are to tell whether the models of a stage are of one family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from mergegraph.families import FEWEST, Family, Sample
from mergegraph.names import is_embedding, is_head, layer_of
from mergegraph.ops.arithmetic import cast, load, narrowed
from mergegraph.stages.inputs import WORK, Input
from mergegraph.tasks import Task

_MATRICES = 16  # tensors that tell of a family,
_OTHERS = 8  # and others, in which equal models are equal, too
_ENTRIES = 2**14  # that are read of each,
_WHOLE = 2**21  # and the most of one that cannot be read in part
_LEAST = 2**10  # entries of a matrix that has a direction to speak of
_GOLDEN = (5**0.5 - 1) / 2

Inputs = Sequence[Input]


def families_of(place: str, merges: Iterable[Inputs]) -> list[Family]:
    """The families that tensors are merged of, each with samples; inputs have the base first."""
    made = (_family(place, found) for found in _groups(merges))
    return [each for each in made if each]


def repeated(place: str, merges: Iterable[Inputs]) -> Iterator[str]:
    """A sentence on each model that is there twice: all its tensors are those of another."""
    for found in _groups(merges):
        for i, j in combinations(range(len(found[0])), 2):
            if all(inputs[i].task == inputs[j].task for inputs in found):
                yield f"{place}: {_told_of_two(found[0][i], found[0][j])}"


def _told_of_two(first: Input, second: Input) -> str:
    a, b = first.part.model.reference, second.part.model.reference
    if first.is_base:
        return f"{b} is the base itself; it adds nothing to the merge"
    named = f"{a} is there twice" if a == b else f"{a} and {b} are one and the same"
    return f"{named}; they count as one model with both weights"


def _groups(merges: Iterable[Inputs]) -> list[list[Inputs]]:
    """The inputs of tensors that are made of the same models, of two at least."""
    groups: dict[tuple[tuple[str, bool], ...], list[Inputs]] = {}
    for inputs in merges:
        members = tuple((each.part.model.reference, each.is_base) for each in inputs)
        if len(members) > 1:
            groups.setdefault(members, []).append(inputs)
    return list(groups.values())


def _family(place: str, merges: Sequence[Inputs]) -> Family | None:
    alike = [each for each in merges if _are_of_one_place(each)]
    matrices = [each for each in alike if _tells_family(each[0])]
    others = [each for each in alike if not _tells_family(each[0])]
    samples = [
        *_sampled(matrices, _MATRICES, tells_family=True),
        *_sampled(others, _OTHERS, tells_family=False),
    ]
    if sum(each.tells_family for each in samples) < FEWEST:
        return None
    first = alike[0]
    return Family(
        place=place,
        members=tuple(each.part.model.reference for each in first),
        has_base=first[0].is_base,
        plain=tuple(each.part.model.is_input and _is_plain(each) for each in first),
        samples=tuple(samples),
    )


def _sampled(merges: Sequence[Inputs], most: int, *, tells_family: bool) -> Iterator[Sample]:
    """Some tensors, spread over the depth so that every kind has its turn."""
    chosen = dict.fromkeys(int(i * _GOLDEN % 1 * len(merges)) for i in range(most))
    for place in sorted(chosen) if merges else ():
        inputs = merges[place]
        if tasks := _tasks(inputs):
            yield Sample(inputs[0].part.name, tasks, tells_family)


def _tasks(inputs: Inputs) -> tuple[Task, ...]:
    """What is to be compared: first rows of what was stored; of small tensors, all that there is.

    Nothing where there is no such thing, as of large quantised ones.
    """
    leaves = [_leaf(each.task) for each in inputs]
    spec = inputs[0].task.spec
    if all(leaves):
        rows = min(spec.shape[0], -(-_ENTRIES // max(1, spec.row))) if len(spec.shape) > 1 else None
        found = [load(entry=leaf.numbers["entry"], rows=rows) for leaf in leaves if leaf]
        return tuple(cast(each, WORK) for each in found)
    are_inputs = all(each.part.model.is_input for each in inputs)
    return tuple(each.task for each in inputs) if are_inputs and spec.numel <= _WHOLE else ()


def _leaf(task: Task) -> Task | None:
    """What a tensor is made of in the first place, if it is of its shape and stored plainly."""
    root = task
    while root.inputs:
        root = root.inputs[0]
    spec = root.spec
    is_plain = root.op is load and spec.is_float and spec.itemsize > 1
    has_all = is_plain and root.numbers["rows"] is None and spec.shape == task.spec.shape
    return root if has_all and not getattr(root.numbers["entry"], "axes", ()) else None


def _is_plain(given: Input) -> bool:
    return not narrowed(given.task).inputs or _leaf(given.task) is None


def _are_of_one_place(inputs: Inputs) -> bool:
    """Whether the tensors have one name: those of different layers are strangers anyway."""
    return len({each.part.name for each in inputs}) == 1


def _tells_family(given: Input) -> bool:
    """Whether a tensor is a matrix of a layer, with which training begins by chance."""
    name, spec = given.part.name, given.task.spec
    is_matrix = len(spec.shape) > 1 and spec.numel >= _LEAST and min(spec.shape[:2]) > 1
    return is_matrix and layer_of(name) is not None and not (is_embedding(name) or is_head(name))
