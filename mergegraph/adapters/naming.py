"""The tensors of a model that an adapter means: names differ between libraries and versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mergegraph.errors import MergeGraphError, nearest
from mergegraph.names import layer_of
from mergegraph.spec import Spec

Fits = Callable[[Spec], bool]

# what a part of a name is on disk where it is something else in memory
_SPELLINGS = ((".mlp.", ".block_sparse_moe."), (".block_sparse_moe.", ".mlp."))
_LEAST = 2  # parts of a name that must agree: the last module, and what of it


@dataclass(frozen=True)
class Wanted:
    """A tensor that an adapter speaks of, and which shapes it may have."""

    name: str
    fits: Fits


class Names:
    """A model's tensors, to be found by the names that adapters have for them."""

    def __init__(self, known: Mapping[str, Spec]) -> None:
        self.known = known
        self._by_tail: dict[str, list[str]] = {}
        for name in known:
            for tail in _tails(name):
                self._by_tail.setdefault(tail, []).append(name)

    def find(self, wanted: Iterable[Wanted], label: str) -> dict[str, str]:
        """The model's name for each tensor; raises MergeGraphError where there is no telling.

        A name may stand below another prefix than the adapter's, if that leaves no doubt.
        """
        found: dict[str, Sequence[str]] = {}
        for each in wanted:  # a name may be wanted twice, and must do for both
            names = self.candidates(each)
            found[each.name] = [n for n in found.get(each.name, names) if n in names]
        if lost := [name for name, names in found.items() if not names]:
            more = f" and {len(lost) - 1} more tensors" if len(lost) > 1 else ""
            is_there = lost[0] in self.known
            close = "" if is_there else nearest(lost[0], self.known, only_close=True)
            remedy = close or "; is it of another model?"
            fact = f"changes {lost[0]}{more}, and no tensor of the model has that name and fits"
            raise MergeGraphError(f"{label}: {fact}{remedy}")
        settled = _settled(found)
        if doubtful := [name for name, names in settled.items() if len(names) > 1]:
            names = " or ".join(settled[doubtful[0]][:4])
            fact = f"changes {doubtful[0]}, which may be {names} of the model"
            raise MergeGraphError(f"{label}: {fact}")
        result = {name: names[0] for name, names in settled.items()}
        if twice := [name for name, count in Counter(result.values()).items() if count > 1]:
            raise MergeGraphError(f"{label}: more than one of its tensors is for {twice[0]}")
        return result

    def candidates(self, wanted: Wanted) -> Sequence[str]:
        """The names that agree best with the one that is wanted, of tensors that fit."""
        spellings = [wanted.name, *_respelled(wanted.name)]
        for name in spellings:
            if name in self.known and wanted.fits(self.known[name]):
                return (name,)
        for name in spellings:
            for tail in _tails(name):
                named = self._by_tail.get(tail, ())
                if found := [each for each in named if wanted.fits(self.known[each])]:
                    return found
        return ()


def _respelled(name: str) -> Iterator[str]:
    for old, new in _SPELLINGS:
        if old in name:
            yield name.replace(old, new)


def _tails(name: str) -> Iterator[str]:
    """The ends of a name, the longest first, down to the stack of its layers."""
    layer = layer_of(name)
    kept = name if layer is None else f"{layer.stack.rpartition('.')[2]}.{layer.index}.{layer.rest}"
    least = _LEAST if layer is None else kept.count(".") + 1
    parts = name.split(".")
    for start in range(max(1, len(parts) - least + 1)):
        yield ".".join(parts[start:])


def _settled(found: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Where several names would do, those below the prefix where the others are."""
    prefixes = {_prefixes(name, names[0]) for name, names in found.items() if len(names) == 1}
    settled: dict[str, Sequence[str]] = {}
    for name, names in found.items():
        usual = [each for each in names if _prefixes(name, each) in prefixes]
        settled[name] = usual if len(names) > 1 and len(usual) == 1 else names
    return settled


def _prefixes(name: str, other: str) -> tuple[str, str]:
    """What stands before the layers in a name and in another one for the same."""
    layer, layer_of_other = layer_of(name), layer_of(other)
    return (layer.stack if layer else "", layer_of_other.stack if layer_of_other else "")
