"""Changes of experts in one tensor, for models that have them one by one on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mergegraph.adapters.layouts import Pair
from mergegraph.adapters.naming import Names, Wanted
from mergegraph.ops.products import part

# what a tensor of all experts is made of: outputs of these one after another
_MADE_OF = {
    "gate_up_proj": (("gate_proj", "up_proj"), ("w1", "w3")),
    "down_proj": (("down_proj",), ("w2",)),
}


@dataclass(frozen=True)
class Share:
    """One expert's matrix, and where it lies in the tensor of all."""

    name: str
    expert: int
    first: int
    rows: int


def shares_of(parameter: str, names: Names) -> tuple[Share, ...]:
    """The matrices that a tensor of all experts stands for; none if the model has no such ones."""
    module, _, leaf = parameter.rpartition(".")
    for leaves in _MADE_OF.get(leaf, ()):
        wanted = Wanted(f"{module}.0.{leaves[0]}.weight", lambda spec: len(spec.shape) == 2)  # noqa: PLR2004
        found = names.candidates(wanted)
        if len(found) == 1:
            return _shares(found[0].removesuffix(f".0.{leaves[0]}.weight"), leaves, names)
    return ()


def _shares(module: str, leaves: Sequence[str], names: Names) -> tuple[Share, ...]:
    shares = []
    expert = 0
    while all(f"{module}.{expert}.{leaf}.weight" in names.known for leaf in leaves):
        first = 0
        for leaf in leaves:
            name = f"{module}.{expert}.{leaf}.weight"
            rows = names.known[name].shape[0]
            shares.append(Share(name, expert, first, rows))
            first += rows
        expert += 1
    return tuple(shares)


def fused_shape(shares: Sequence[Share], names: Names) -> tuple[int, ...]:
    """The shape of the tensor of all experts, its rows the outputs."""
    rows = sum(each.rows for each in shares if each.expert == 0)
    return (shares[-1].expert + 1, rows, names.known[shares[0].name].shape[-1])


def share_out(pair: Pair, share: Share) -> Pair:
    """What a pair of factors for all experts is for one of their matrices."""
    left = part(pair.left, axis=0, first=share.expert, count=1)
    if (share.first, share.rows) != (0, left.spec.shape[1]):
        left = part(left, axis=1, first=share.first, count=share.rows)
    return Pair(left, part(pair.right, axis=0, first=share.expert, count=1), pair.scale)
