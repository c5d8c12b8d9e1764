"""Task vectors weighed by how far they went, where they differ most."""

from collections.abc import Sequence
from math import floor
from typing import Any

from mergegraph import Spec, Task, op
from mergegraph.ops import count_zeros, fuse_elected, only_at, prune_to_count, spread

SMALLEST = 1e-12  # a share below this is lost beside any other in float32, but it is not zero


@op(infer=lambda zeros, **_numbers: zeros)
def _count(zeros: Any, *, share: float, numel: int) -> Any:
    """How many positions are selected, of those that are not zero."""
    return zeros.new_tensor([floor(share * (numel - zeros.item()) + 1e-9)])


@op(cut="fold", copies=2, infer=lambda *deltas: Spec((len(deltas),), "float64"))
def energies(*deltas: Any) -> Any:
    """Στ² of each task vector."""
    import torch

    return torch.stack([each.double().square_().sum() for each in deltas])


@op(infer=lambda energies: energies)
def shares(energies: Any) -> Any:
    """The share that each has of the whole energy; equal ones if there is none."""
    import torch

    total = energies.sum()
    if total <= 0:
        return torch.full_like(energies, 1 / len(energies))
    return torch.where(energies > 0, (energies / total).clamp(min=SMALLEST), 0.0)


def _numbers(shares: Any, scale: float) -> dict[str, Any]:
    return {"weights": tuple(shares.tolist()), "normalize": True, "scale": scale}


def _code_fuse(code: Any, out: int, *others: Any, scale: float) -> Any:
    *given, shares = others
    assert fuse_elected.code is not None
    return fuse_elected.code(code, out, *given, **_numbers(shares, scale))


@op(cut="pointwise", copies=5, code=_code_fuse, carries=1)
def fuse(*others: Any, scale: float) -> Any:
    """As `fuse_elected`, the weights computed: a small task, given last."""
    *given, shares = others
    return fuse_elected.kernel(*given, **_numbers(shares, scale))


def where_they_differ(deltas: Sequence[Task], share: float) -> list[Task]:
    """The task vectors at the positions where they differ most."""
    spreads = spread(*deltas)
    count = _count(count_zeros(spreads), share=share, numel=spreads.spec.numel)
    chosen = prune_to_count(spreads, count)
    return [only_at(each, chosen) for each in deltas]
